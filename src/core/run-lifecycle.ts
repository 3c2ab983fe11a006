/**
 * The life of a run, as one table.
 *
 *   pending → preparing → building → launching → running → finishing → completed | failed | terminated | canceled
 *
 * - `pending`    stored and waiting: for its producers, for a slot of capacity, for a name in the environment.
 * - `preparing`  claimed by the supervisor together with its slot of capacity: code, inputs, folders.
 * - `building`   what the stage runs in (virtual environment, image) is being made.
 * - `launching`  the backend has been, or is about to be, asked; the act is findable by run id and attempt.
 * - `running`    the backend reported a start.
 * - `finishing`  a result document exists; outputs are being checked and stored.
 *
 * States may be skipped forward (a run can end before anybody saw it run), never revisited, with one exception:
 * `restart` leads back to `pending` as the next attempt of the same run. Any non-terminal state may go to any
 * terminal one (a cached hit, a cancel, a result found late). Terminal states are final: what comes after is a
 * replay (same end: harmless) or refused (another end). The table is the only way to change a state; the store
 * applies it with compare-and-swap, in the transaction that writes the event row.
 */
export const RUN_STATES = [
  'pending',
  'preparing',
  'building',
  'launching',
  'running',
  'finishing',
  'completed',
  'failed',
  'terminated',
  'canceled',
] as const;
export type RunState = (typeof RUN_STATES)[number];

export const TERMINAL_STATES = [
  'completed',
  'failed',
  'terminated',
  'canceled',
] as const satisfies RunState[];
export type TerminalState = (typeof TERMINAL_STATES)[number];

/** States in which a run holds a slot of its backend's capacity. */
export const HOLDING_STATES = [
  'preparing',
  'building',
  'launching',
  'running',
  'finishing',
] as const satisfies RunState[];

const OPEN: readonly RunState[] = ['pending', ...HOLDING_STATES];

type Transition = { from: readonly RunState[]; to: RunState };

export const RUN_TRANSITIONS = {
  prepare: { from: ['pending'], to: 'preparing' },
  build: { from: ['preparing'], to: 'building' },
  launch: { from: ['preparing', 'building'], to: 'launching' },
  start: { from: ['launching'], to: 'running' },
  finish: { from: ['launching', 'running'], to: 'finishing' },
  restart: { from: ['launching', 'running', 'finishing'], to: 'pending' },
  complete: { from: OPEN, to: 'completed' },
  fail: { from: OPEN, to: 'failed' },
  terminate: { from: OPEN, to: 'terminated' },
  cancel: { from: OPEN, to: 'canceled' },
} as const satisfies Record<string, Transition>;
export type RunEventName = keyof typeof RUN_TRANSITIONS;

/** Who said so: a caller's command, the supervisor's own rules, or what a backend reported. */
export type EventSource = 'caller' | 'supervisor' | 'backend';

export type Verdict =
  | { kind: 'moved'; to: RunState }
  /** The run is already where the event leads: nothing to do. */
  | { kind: 'replay' }
  | { kind: 'refused'; why: string };

export function isTerminal(state: RunState): state is TerminalState {
  return (TERMINAL_STATES as readonly RunState[]).includes(state);
}

export function holdsCapacity(state: RunState): boolean {
  return (HOLDING_STATES as readonly RunState[]).includes(state);
}

/** What an event does to a state. Pure; the store turns the verdict into rows. */
export function judgeEvent(state: RunState, event: RunEventName): Verdict {
  const transition: Transition = RUN_TRANSITIONS[event];
  if (transition.from.includes(state)) return { kind: 'moved', to: transition.to };
  if (state === transition.to) return { kind: 'replay' };
  const why = isTerminal(state) ? `${state} is final` : `${event} does not follow ${state}`;
  return { kind: 'refused', why };
}

/** A pipeline run is failed if any run failed, else terminated, else canceled, else completed; open while any is. */
export function pipelineState(runs: readonly { state: RunState }[]): 'pending' | 'running' | TerminalState {
  const states = new Set(runs.map((run) => run.state));
  if (runs.every((run) => isTerminal(run.state))) {
    return (['failed', 'terminated', 'canceled'] as const).find((state) => states.has(state)) ?? 'completed';
  }
  return states.size === 1 && states.has('pending') ? 'pending' : 'running';
}
