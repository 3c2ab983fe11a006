import type { Cause } from '../core/causes.ts';
import {
  type ErrorCode,
  errnoBehind,
  GoldfishError,
  isGoldfishError,
  messageOf,
  type ToolCall,
} from '../core/errors.ts';
import type { RunInput, StageRun } from '../core/rows.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import type { RunEnd } from './end.ts';

/** Codes that name something the user wrote, so that a repetition meets the same. */
const OF_THE_USER: readonly ErrorCode[] = ['INVALID_CONFIG', 'NOT_SUPPORTED'];

/** How a run ends whose step failed. Only what cannot be had is an unavailable input; the rest kept it from starting. */
export function endOfStep(step: Cause, error: unknown): Omit<RunEnd, 'source'> {
  const known = isGoldfishError(error) && error.code !== 'INTERNAL' ? error : undefined;
  const isOther = step === 'input_unavailable' && known?.code !== 'INPUT_UNAVAILABLE';
  const cause = known?.details['no_capacity'] === true ? 'no_capacity' : isOther ? 'launch_failed' : step;
  return {
    cause,
    message: known?.message ?? `The run could not be started: ${messageOf(error)}`,
    errno: errnoBehind(error),
    next: known?.fix,
    ...(known && OF_THE_USER.includes(known.code) ? { failureClass: 'config' } : {}),
    // It passes by itself, only not within the time that was waited for it.
    ...(known?.retryable ? { failureClass: 'infra', retrySafe: true } : {}),
  };
}

/** Which input it is that cannot be had, and the call that makes it anew. */
export function nameInput(
  { db }: Pick<RunsDeps, 'db'>,
  { run, input, error }: { run: StageRun; input: RunInput; error: unknown },
): unknown {
  if (!isGoldfishError(error) || error.code !== 'INPUT_UNAVAILABLE') return error;
  const producer = input.fromRunId === null ? undefined : getStageRun(db, input.fromRunId);
  return new GoldfishError('INPUT_UNAVAILABLE', {
    message: `Input "${input.name}": ${error.message}`,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    details: { ...error.details, input: input.name },
    cause: error,
    ...(producer === undefined ? lookAtSource(input) : { fix: makeAnew(producer, run) }),
  });
}

function makeAnew(producer: StageRun, run: StageRun): ToolCall {
  const { workspace } = producer;
  const stages = workspace === run.workspace ? [producer.stage, run.stage] : [producer.stage];
  const reason = `Make the output of ${producer.stage} anew, which ${run.stage} needs`;
  return { tool: 'run', arguments: { workspace, stages, use_cache: false, reason } };
}

function lookAtSource({ fromSource }: RunInput): { fix?: ToolCall } {
  return fromSource === null ? {} : { fix: { tool: 'inspect_source', arguments: { name: fromSource } } };
}
