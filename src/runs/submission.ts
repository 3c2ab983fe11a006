import type { PipelineRun, StageRun, WorkspaceVersion } from '../core/rows.ts';
import type { CallPlan } from './plan-call.ts';
import type { SimilarRun } from './similar.ts';

/** What a call that makes one pipeline run is answered with. */
export type Submission = {
  pipelineRun: PipelineRun;
  runs: StageRun[];
  version: WorkspaceVersion;
  /** False where the slot had not changed since its newest version. */
  versionCreated: boolean;
  /** The pipeline run is an earlier one: an equal call was made and is active or completed. */
  deduplicated: boolean;
  backends: CallPlan['backends'];
};

/** What a call of `run` is answered with: several pipeline runs where it asked for replicates, else one. */
export type SubmittedCall = Submission & {
  /** In the order of the replicates; `pipelineRun` is the first. */
  pipelineRuns: PipelineRun[];
  /** Earlier pipeline runs that differ little. */
  similar: SimilarRun[];
};
