// The same instance as `require('goldfish')` gives: one heartbeat, one open metrics file per thread.
import library from './index.js';

export const {
  GoldfishError,
  NdArray,
  config,
  heartbeat,
  inputPath,
  listCheckpoints,
  loadCheckpoint,
  loadInput,
  logArtifact,
  logMetric,
  logMetrics,
  outputPath,
  progress,
  runInfo,
  saveCheckpoint,
  saveOutput,
  shouldStop,
} = library;

export default library;
