import { BOOT_SECONDS } from '../config/gce-keys.ts';
import type { Path } from '../config/problem.ts';
import { GoldfishError } from '../core/errors.ts';
import type { AskedCompute } from '../pipeline/resolve-compute.ts';
import type { GivenCompute } from './settle-compute.ts';

/** Something a stage asks for and its backend cannot give. */
export type Misfit = {
  /** The key that asks for it, as the stage's config or the pipeline has it. */
  at: { file: 'config' | 'pipeline'; path: Path };
  key: 'nodes' | 'gpus' | 'image' | 'timeout_seconds' | 'capacity_wait_seconds';
  message: string;
  hint: string;
};

/** Judged by what the backend says of itself, never by its name. */
export function misfitsOf(stage: string, asked: AskedCompute, settled: GivenCompute): Misfit[] {
  const { compute, capabilities, limits } = settled;
  const backend = `the backend "${compute.backend}"`;
  const found: Misfit[] = [];
  if (compute.nodes > capabilities.maxNodes) {
    const most = capabilities.maxNodes === 1 ? 'one rank' : `${capabilities.maxNodes} ranks`;
    found.push({
      at: { file: 'config', path: ['compute', 'nodes'] },
      key: 'nodes',
      message: `${stage} asks for ${compute.nodes} ranks; ${backend} runs ${most} at most.`,
      hint: `Set compute.nodes to ${capabilities.maxNodes} or less, or compute.backend to one that runs more.`,
    });
  }
  const gpus = compute.gpus * compute.nodes;
  const most = capabilities.gpu ? limits.gpus : 0;
  if (gpus > most) {
    found.push({
      at: { file: 'config', path: ['compute', 'gpus'] },
      key: 'gpus',
      message: `${stage} asks for ${gpus} GPU${gpus === 1 ? '' : 's'}; ${backend} has ${most === 0 ? 'none' : most} here.`,
      hint: `Set compute.gpus to ${most === 0 ? '0' : `${Math.floor(most / compute.nodes)} or less`}, or compute.profile or compute.backend to one with more.`,
    });
  }
  const { timeoutSeconds: timeout, stopGraceSeconds: grace } = compute;
  const { longestSeconds } = capabilities;
  if (longestSeconds !== null && timeout + grace > longestSeconds) {
    found.push({
      at: { file: 'config', path: ['compute', 'timeout_seconds'] },
      key: 'timeout_seconds',
      message: `${stage} may take ${timeout} s, with ${grace} s to stop; ${backend} runs ${longestSeconds} s at most.`,
      hint: `Set compute.timeout_seconds to ${longestSeconds - grace} or less, or compute.backend to one that runs longer.`,
    });
  }
  const wait = compute.capacityWaitSeconds;
  const longest = asked.launchTimeoutSeconds.value - BOOT_SECONDS;
  if (wait !== undefined && wait > longest) {
    found.push({
      at: { file: 'config', path: ['compute', 'capacity_wait_seconds'] },
      key: 'capacity_wait_seconds',
      message: `${stage} may wait ${wait} s for a machine; with ${BOOT_SECONDS} s for its boot that is more than defaults.launch_timeout_seconds (${asked.launchTimeoutSeconds.value}).`,
      hint: `Set compute.capacity_wait_seconds to ${Math.max(0, longest)} or less, or raise defaults.launch_timeout_seconds.`,
    });
  }
  if (asked.image !== undefined && !limits.images) {
    const own = !asked.image.origin.startsWith('profile ');
    found.push({
      at: { file: 'pipeline', path: own ? ['image'] : ['name'] },
      key: 'image',
      message: `${stage} is to run in the image "${asked.image.value}"${own ? '' : ` of its ${asked.image.origin}`}; ${backend} runs in none.`,
      hint: 'Set compute.backend to one that runs containers, or take the image away.',
    });
  }
  return found;
}

/** Errors: NOT_SUPPORTED, naming what to set. */
export function requireFit(stage: string, asked: AskedCompute, settled: GivenCompute): void {
  const [misfit] = misfitsOf(stage, asked, settled);
  if (misfit === undefined) return;
  const { message, hint, key } = misfit;
  const details = { stage, key, backend: settled.compute.backend, origin: settled.origins[key] };
  throw new GoldfishError('NOT_SUPPORTED', { message, hint, details });
}
