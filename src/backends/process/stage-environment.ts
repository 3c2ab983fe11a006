import { dirname, join } from 'node:path';
import { GoldfishError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { AttemptLayout } from '../../core/layout.ts';
import { clip, ENVIRONMENT_NAME_PATTERN } from '../../core/names.ts';
import type { RunSpec } from '../port.ts';

/** The document behind GOLDFISH_CONFIG. */
export function configDocument(spec: RunSpec, folders: AttemptLayout): JsonObject {
  const inputs = spec.inputs.map(({ name, type, fileName }) => {
    return [name, { type, path: join(folders.inputs, fileName) }] as const;
  });
  const outputs = spec.outputs.map(({ name, type, fileName }) => {
    return [name, { type, path: join(folders.outputs, fileName) }] as const;
  });
  const { runId, workspace, version, stage, attempt } = spec;
  return {
    config: spec.config,
    inputs: Object.fromEntries(inputs),
    outputs: Object.fromEntries(outputs),
    run: { run_id: runId, workspace, version, stage, attempt },
  };
}

/** Variables no plan and no secret can change. */
export function goldfishEnvironment(spec: RunSpec, folders: AttemptLayout): Record<string, string> {
  return {
    GOLDFISH_INPUTS: folders.inputs,
    GOLDFISH_OUTPUTS: folders.outputs,
    GOLDFISH_CONTROL: folders.control,
    GOLDFISH_CHECKPOINTS: spec.checkpointsDir,
    GOLDFISH_CONFIG: folders.config,
    GOLDFISH_RUN_ID: spec.runId,
    GOLDFISH_WORKSPACE: spec.workspace,
    GOLDFISH_VERSION: spec.version,
    GOLDFISH_STAGE: spec.stage,
    GOLDFISH_ATTEMPT: `${spec.attempt}`,
  };
}

/**
 * What a stage gets besides: nothing of the machine's environment but PATH. Its home is its own scratch folder, so
 * that no run finds what another (or the user) left in a cache.
 */
export function stageEnvironment(
  spec: RunSpec,
  machine: {
    folders: AttemptLayout;
    python: string;
    environment: string | null;
    sdkDir: string;
    path: string;
  },
): Record<string, string> {
  const { folders } = machine;
  const own = spec.environment['PYTHONPATH'];
  return {
    PATH: `${dirname(machine.python)}:${machine.path}`,
    HOME: folders.temp,
    TMPDIR: folders.temp,
    LANG: 'C.UTF-8',
    // The code folder is shared and read-only; output appears in the log as it is printed.
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONUNBUFFERED: '1',
    PYTHONNOUSERSITE: '1',
    ...(machine.environment === null ? {} : { VIRTUAL_ENV: machine.environment }),
    ...spec.environment,
    PYTHONPATH: [spec.codeDir, machine.sdkDir, ...(own ? [own] : [])].join(':'),
  };
}

/** Errors: INVALID_CONFIG for a name that is none, is reserved, or a value no environment can hold. */
export function checkEnvironment(spec: RunSpec): void {
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
