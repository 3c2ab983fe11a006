import { dirname, join } from 'node:path';
import type { JsonObject } from '../../core/json.ts';
import type { AttemptLayout } from '../../core/layout.ts';
import type { RunSpec } from '../port.ts';

export type RankFolders = ReturnType<AttemptLayout['rank']>;
/** A rank's own folders and what all ranks read. */
type Places = RankFolders & Pick<AttemptLayout, 'inputs'>;

/** The document behind GOLDFISH_CONFIG. */
export function configDocument(spec: RunSpec, folders: Places): JsonObject {
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
export function goldfishEnvironment(spec: RunSpec, folders: Places): Record<string, string> {
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
    temp: string;
    python: string;
    environment: string | null;
    sdkDir: string;
    path: string;
  },
): Record<string, string> {
  const own = spec.environment['PYTHONPATH'];
  return {
    PATH: `${dirname(machine.python)}:${machine.path}`,
    HOME: machine.temp,
    TMPDIR: machine.temp,
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
