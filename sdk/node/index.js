'use strict';

/**
 * Goldfish's library for stages: inputs, outputs, config, metrics, progress, checkpoints.
 *
 * No dependencies; Node.js 18 or newer. Every error is a GoldfishError with one line. Outside of a run each function
 * throws one that says how to start a run. Everything is synchronous: a stage is a script, and what a call promises
 * holds when it returns. The types and their documentation are in index.d.ts.
 */
const { listCheckpoints, loadCheckpoint, saveCheckpoint } = require('./lib/checkpoints.js');
const { GoldfishError } = require('./lib/errors.js');
const { heartbeat, shouldStop, start } = require('./lib/liveness.js');
const { logMetric, logMetrics, progress } = require('./lib/metrics.js');
const { NdArray } = require('./lib/nd-array.js');
const { config, inputPath, outputPath, runInfo } = require('./lib/run.js');
const { loadInput, logArtifact, saveOutput } = require('./lib/signals.js');

/** @type {typeof import('./index.d.ts')} */
const library = {
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
};
module.exports = library;

start();
