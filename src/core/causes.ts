import type { RunEventName, TerminalState } from './run-lifecycle.ts';

/** How a table shows an end: well at the first try, not quite as wished, badly. */
export type Colour = 'green' | 'yellow' | 'red';

type CauseFacts = {
  /** The only state it can belong to. */
  state: TerminalState;
  /** One sentence for people. */
  sentence: string;
  /** Of a run that was never restarted. */
  colour: Colour;
  /**
   * Whether a restart policy may name it, and whether such a restart counts towards `max_restarts` and a crash loop:
   * `never` where a repetition meets the same, `free` where the program had no part in it.
   */
  restart: 'never' | 'counted' | 'free';
  /** Whether somebody is to be told without asking. */
  notify: boolean;
};

/** Every way a run can end. Closed: whoever adds one says all of this. */
export const CAUSES = {
  success: well('The program ended with 0 and every declared output is stored.'),
  cached: well('An earlier run with the same key was reused; nothing was executed.'),
  completed_with_warnings: {
    ...well('It succeeded, but an output breaks its contract.'),
    colour: 'yellow',
    notify: true,
  },
  exit_nonzero: failed('The program ended with an error code or died by a signal.', 'counted'),
  output_missing: failed('The program ended with 0 but a declared output is not there.', 'counted'),
  contract_violated: failed('An output breaks its contract and enforcement is blocking.', 'never'),
  review_blocked: failed('The review before the run refused it.', 'never'),
  preflight_failed: failed('A preflight check of the machine failed.', 'free'),
  build_failed: failed('What the stage runs in could not be built.', 'never'),
  launch_failed: failed('The backend refused to start it.', 'counted'),
  no_capacity: failed('No machine was to be had in time.', 'never'),
  input_unavailable: failed('An input could not be read when the run was to start.', 'never'),
  crash_loop: failed('It crashed again and again within minutes.', 'never'),
  timeout: { ...terminated('It ran longer than its limit and was stopped.', 'never'), colour: 'yellow' },
  heartbeat_lost: terminated('Its heartbeat stopped, and it was stopped.', 'counted'),
  oom: terminated('It used more memory than its limit and was killed.', 'counted'),
  preempted: terminated('The machine was taken back by its provider.', 'free'),
  worker_lost: terminated('What executed it disappeared without a result.', 'counted'),
  stopped_by_monitor: terminated('A monitor stopped it.', 'never'),
  budget: terminated('The budget was spent.', 'never'),
  upload_failed: terminated('Its outputs could not be stored.', 'counted'),
  user: canceled('A caller canceled it.'),
  upstream_failed: canceled('A run it needed did not complete.'),
  sweep_stopped: canceled('Its sweep was stopped.'),
} as const satisfies Record<string, CauseFacts>;

function well(sentence: string) {
  return { state: 'completed', sentence, colour: 'green', restart: 'never', notify: false } as const;
}

function failed<R extends CauseFacts['restart']>(sentence: string, restart: R) {
  return { state: 'failed', sentence, colour: 'red', restart, notify: true } as const;
}

function terminated<R extends CauseFacts['restart']>(sentence: string, restart: R) {
  return { state: 'terminated', sentence, colour: 'red', restart, notify: true } as const;
}

function canceled(sentence: string) {
  return { state: 'canceled', sentence, colour: 'red', restart: 'never', notify: false } as const;
}

export type Cause = keyof typeof CAUSES;

/** Causes that a restart policy may name. */
export const RESTARTABLE = (Object.keys(CAUSES) as Cause[]).filter(
  (cause) => CAUSES[cause].restart !== 'never',
);

export function isCause(word: string): word is Cause {
  return Object.hasOwn(CAUSES, word);
}

/** A success after a restart is no plain one. */
export function colourOf(cause: Cause, restarts: number): Colour {
  const { colour } = CAUSES[cause];
  return colour === 'green' && restarts > 0 ? 'yellow' : colour;
}

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
