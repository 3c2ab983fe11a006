import type { PlannedInput, StagePlan } from '../core/stage-plan.ts';
import type { ResolvedStage } from '../pipeline/resolve-pipeline.ts';

/** What a version is, as far as keys are concerned, and where its stages run. */
export type VersionIdentity = {
  codeHash: string;
  /** By backend name. */
  environmentKeys: ReadonlyMap<string, string>;
  /** The backend a stage's setting means: `auto` is decided here. */
  backendOf: (requested: string) => string;
};

/** The one place where a resolved stage becomes what is shown, stored and sent. */
export function toStagePlan(parts: {
  stage: ResolvedStage;
  identity: VersionIdentity;
  origins: PlannedInput[];
  reuse: boolean;
}): StagePlan {
  const { stage, identity } = parts;
  const backend = identity.backendOf(stage.compute.backend);
  return {
    stage: stage.name,
    command: stage.command,
    config: stage.config,
    compute: {
      backend,
      profile: 'default',
      nodes: 1,
      timeoutSeconds: stage.compute.timeoutSeconds,
      stopGraceSeconds: stage.compute.stopGraceSeconds,
      memoryBytes: stage.compute.memoryBytes,
      cpus: null,
      gpus: 0,
      pidsLimit: null,
      network: true,
      heartbeatTimeoutSeconds: null,
    },
    environment: stage.environment,
    secrets: {},
    image: null,
    inputs: parts.origins,
    outputs: stage.outputs,
    needs: stage.needs,
    cache: stage.cache && parts.reuse,
    codeHash: identity.codeHash,
    environmentKey: identity.environmentKeys.get(backend) ?? '',
  };
}
