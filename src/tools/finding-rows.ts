import { z } from 'zod';
import type { ToolCall } from '../core/errors.ts';
import type { RunFinding } from '../core/monitors.ts';
import { isTerminal, type RunState } from '../core/run-lifecycle.ts';

/** What monitors noticed, in results. */
export const findingShape = z.object({
  monitor: z.string(),
  metric: z.string().optional(),
  action: z.string().describe('warn, or stop: it ends the attempt'),
  attempt: z.int(),
  message: z.string(),
  at: z.string(),
});

export function toFinding(finding: RunFinding): z.infer<typeof findingShape> {
  const { monitor, metric, action, attempt, message, createdAt: at } = finding;
  return { monitor, ...(metric === null ? {} : { metric }), action, attempt, message, at };
}

type Noticed = Pick<RunFinding, 'runId' | 'monitor'>;

/** What goes nowhere can be canceled; of a metric the values come first, and of what has ended how it ended. */
export function findingCall({ runId, monitor }: Noticed, state: RunState): ToolCall {
  if (monitor !== 'stall') return { tool: 'inspect_run', arguments: { run_id: runId, include: ['metrics'] } };
  if (isTerminal(state)) return { tool: 'inspect_run', arguments: { run_id: runId } };
  return {
    tool: 'cancel',
    arguments: { target: runId, reason: 'It stalled: nothing comes from it any more' },
  };
}
