import { GoldfishError } from '../core/errors.ts';
import { clip, ENVIRONMENT_NAME_PATTERN } from '../core/names.ts';
import type { RunSpec } from './port.ts';

/**
 * What no backend on this machine can execute. Errors: INVALID_CONFIG for an environment name that is none, is
 * reserved, or a value no environment can hold, and for a broken command; NOT_SUPPORTED for too many ranks or GPUs.
 */
export function checkSpec(spec: RunSpec, backend: { name: string; maxNodes: number; gpus: number }): void {
  checkEnvironment(spec);
  if (spec.command.length === 0 || spec.command.some((word) => word.includes('\0') || !word.isWellFormed())) {
    throw new GoldfishError('INVALID_CONFIG', {
      message: 'The command of the stage is empty or holds a null byte or broken text.',
      hint: 'Correct `command` in the pipeline.',
    });
  }
  const { nodes, gpus } = spec.resources;
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > backend.maxNodes) {
    throw new GoldfishError('NOT_SUPPORTED', {
      message: `The ${backend.name} backend runs 1 to ${backend.maxNodes} ranks, not ${nodes}.`,
      hint: `Set compute.nodes to at most ${backend.maxNodes}, or choose another backend.`,
    });
  }
  if (gpus > backend.gpus) {
    throw new GoldfishError('NOT_SUPPORTED', {
      message: `The stage asks for GPUs (${gpus}); the ${backend.name} backend has ${backend.gpus} here.`,
      hint: 'Lower compute.gpus, or choose a backend that has them.',
    });
  }
}

function checkEnvironment(spec: RunSpec): void {
  for (const [name, value] of [...Object.entries(spec.environment), ...Object.entries(spec.secrets)]) {
    const problem = !ENVIRONMENT_NAME_PATTERN.test(name)
      ? 'is not a name of capital letters, digits and "_"'
      : name.startsWith('GOLDFISH_')
        ? 'is reserved'
        : value.includes('\0') || !value.isWellFormed()
          ? 'has a value that an environment cannot hold (a null byte or broken text)'
          : undefined;
    if (problem === undefined) continue;
    throw new GoldfishError('INVALID_CONFIG', {
      message: `The environment variable "${clip(name)}" ${problem}.`,
      hint: 'Change it under `environment` in the stage’s config.',
      details: { field: 'environment', name: clip(name) },
    });
  }
}
