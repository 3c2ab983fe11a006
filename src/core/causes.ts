import type { RunEventName, TerminalState } from './run-lifecycle.ts';

/** Every way a run can end. Closed; `state` is the only state a cause can belong to. */
export const CAUSES = {
  success: { state: 'completed', sentence: 'The program ended with 0 and every declared output is stored.' },
  cached: {
    state: 'completed',
    sentence: 'An earlier run with the same key was reused; nothing was executed.',
  },
  completed_with_warnings: {
    state: 'completed',
    sentence: 'It succeeded, but an output breaks its contract.',
  },
  exit_nonzero: { state: 'failed', sentence: 'The program ended with an error code or died by a signal.' },
  output_missing: {
    state: 'failed',
    sentence: 'The program ended with 0 but a declared output is not there.',
  },
  contract_violated: {
    state: 'failed',
    sentence: 'An output breaks its contract and enforcement is blocking.',
  },
  review_blocked: { state: 'failed', sentence: 'The review before the run refused it.' },
  preflight_failed: { state: 'failed', sentence: 'A preflight check of the machine failed.' },
  build_failed: { state: 'failed', sentence: 'What the stage runs in could not be built.' },
  launch_failed: { state: 'failed', sentence: 'The backend refused to start it.' },
  no_capacity: { state: 'failed', sentence: 'No machine was to be had in time.' },
  input_unavailable: { state: 'failed', sentence: 'An input could not be read when the run was to start.' },
  crash_loop: { state: 'failed', sentence: 'It crashed again and again within minutes.' },
  timeout: { state: 'terminated', sentence: 'It ran longer than its limit and was stopped.' },
  heartbeat_lost: { state: 'terminated', sentence: 'Its heartbeat stopped, and it was stopped.' },
  oom: { state: 'terminated', sentence: 'It used more memory than its limit and was killed.' },
  preempted: { state: 'terminated', sentence: 'The machine was taken back by its provider.' },
  worker_lost: { state: 'terminated', sentence: 'What executed it disappeared without a result.' },
  stopped_by_monitor: { state: 'terminated', sentence: 'A monitor stopped it.' },
  budget: { state: 'terminated', sentence: 'The budget was spent.' },
  upload_failed: { state: 'terminated', sentence: 'Its outputs could not be stored.' },
  user: { state: 'canceled', sentence: 'A caller canceled it.' },
  upstream_failed: { state: 'canceled', sentence: 'A run it needed did not complete.' },
  sweep_stopped: { state: 'canceled', sentence: 'Its sweep was stopped.' },
} as const satisfies Record<string, { state: TerminalState; sentence: string }>;

export type Cause = keyof typeof CAUSES;

const TERMINAL_EVENTS = {
  completed: 'complete',
  failed: 'fail',
  terminated: 'terminate',
  canceled: 'cancel',
} as const satisfies Record<TerminalState, RunEventName>;

/** The lifecycle event a cause ends a run with. */
export function eventOfCause(cause: Cause): RunEventName {
  return TERMINAL_EVENTS[CAUSES[cause].state];
}

/** Why something of ours asks an attempt to end. */
export type StopReason = 'cancel' | 'timeout' | 'heartbeat' | 'monitor';

/** What a run ends for that was stopped. */
export const STOP_CAUSES: Record<StopReason, Cause> = {
  cancel: 'user',
  timeout: 'timeout',
  heartbeat: 'heartbeat_lost',
  monitor: 'stopped_by_monitor',
};
