import { join } from 'node:path';
import type { JsonObject } from '../core/json.ts';
import type { AttemptLayout } from '../core/layout.ts';
import type { RunSpec } from './port.ts';

export type RankFolders = ReturnType<AttemptLayout['rank']>;
/** Where the stage finds its things: paths as it sees them. */
export type StagePlaces = {
  inputs: string;
  outputs: string;
  control: string;
  checkpoints: string;
  config: string;
};

/** The document behind GOLDFISH_CONFIG. */
export function configDocument(spec: RunSpec, places: StagePlaces): JsonObject {
  const inputs = spec.inputs.map(({ name, type, fileName }) => {
    return [name, { type, path: join(places.inputs, fileName) }] as const;
  });
  const outputs = spec.outputs.map(({ name, type, fileName }) => {
    return [name, { type, path: join(places.outputs, fileName) }] as const;
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
export function goldfishEnvironment(spec: RunSpec, places: StagePlaces): Record<string, string> {
  return {
    GOLDFISH_INPUTS: places.inputs,
    GOLDFISH_OUTPUTS: places.outputs,
    GOLDFISH_CONTROL: places.control,
    GOLDFISH_CHECKPOINTS: places.checkpoints,
    GOLDFISH_CONFIG: places.config,
    GOLDFISH_RUN_ID: spec.runId,
    GOLDFISH_WORKSPACE: spec.workspace,
    GOLDFISH_VERSION: spec.version,
    GOLDFISH_STAGE: spec.stage,
    GOLDFISH_ATTEMPT: `${spec.attempt}`,
  };
}
