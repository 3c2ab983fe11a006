import type { PlannedInput, StagePlan } from '../core/stage-plan.ts';
import type { ResolvedStage } from '../pipeline/resolve-pipeline.ts';
import type { SettledCompute } from './settle-compute.ts';

/** The one place where a resolved stage becomes what is shown, stored and sent. */
export function toStagePlan(parts: {
  stage: ResolvedStage;
  settled: SettledCompute;
  /** Hash of the version's files that decide results. */
  codeHash: string;
  origins: PlannedInput[];
  reuse: boolean;
}): StagePlan {
  const { stage, settled } = parts;
  return {
    stage: stage.name,
    command: stage.command,
    config: stage.config,
    compute: settled.compute,
    origins: settled.origins,
    environment: stage.environment,
    secrets: stage.secrets,
    image: settled.image,
    inputs: parts.origins,
    outputs: stage.outputs,
    needs: stage.needs,
    cache: stage.cache && parts.reuse,
    retries: stage.retries,
    codeHash: parts.codeHash,
    environmentKey: settled.environmentKey,
  };
}
