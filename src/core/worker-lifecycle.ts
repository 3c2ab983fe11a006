/**
 * The life of a worker (a rented machine), as one table.
 *
 *   launching → busy → draining → idle_ready → busy → … ; any → deleting → gone
 *
 * - `launching`   its row is there, and a machine of its name has been, or is about to be, asked for. It is born with a
 *                 job, so that nobody takes it for idle; where that job was called off it may be without one.
 * - `busy`        its job was claimed by the machine, or it was given another one.
 * - `draining`    its job is over (the result document is there); the machine removes everything of it.
 * - `idle_ready`  the machine has said that nothing of the last job is left. Only now it may be given another.
 * - `deleting`    it gets no job any more, and its deletion is asked for until nobody finds it.
 * - `gone`        it was looked for and not found. Final.
 *
 * The lease (which job a worker has) changes together with the state, in one transaction: see `LEASES`. The table is
 * the only way to change a state; the store applies it with compare-and-swap and writes an event row with it.
 */
export const WORKER_STATES = ['launching', 'busy', 'draining', 'idle_ready', 'deleting', 'gone'] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

type Transition = { from: readonly WorkerState[]; to: WorkerState };

export const WORKER_TRANSITIONS = {
  start: { from: ['launching'], to: 'busy' },
  assign: { from: ['idle_ready'], to: 'busy' },
  drain: { from: ['launching', 'busy'], to: 'draining' },
  rest: { from: ['launching', 'draining'], to: 'idle_ready' },
  delete: { from: ['launching', 'busy', 'draining', 'idle_ready'], to: 'deleting' },
  vanish: { from: ['launching', 'busy', 'draining', 'idle_ready', 'deleting'], to: 'gone' },
} as const satisfies Record<string, Transition>;
export type WorkerEventName = keyof typeof WORKER_TRANSITIONS;

/** Whether a worker in a state has a job: always, perhaps, never. */
export const LEASES: Readonly<Record<WorkerState, 'always' | 'perhaps' | 'never'>> = {
  launching: 'perhaps',
  busy: 'always',
  draining: 'never',
  idle_ready: 'never',
  deleting: 'never',
  gone: 'never',
};

/** Where an event leads from a state; undefined where it does not follow. */
export function workerStateAfter(state: WorkerState, event: WorkerEventName): WorkerState | undefined {
  const transition: Transition = WORKER_TRANSITIONS[event];
  return transition.from.includes(state) ? transition.to : undefined;
}

/** Why a worker is not kept, or is no more. Closed: whoever adds one says the sentence. */
export const WORKER_ENDS = {
  single_use: 'It was rented for one run.',
  idle_timeout: 'It had no work for as long as the pool keeps a machine.',
  pool_smaller: 'The pool keeps fewer machines, or none, by now.',
  cleanup: 'Somebody asked for it.',
  canceled: 'Its run was canceled before there was a machine.',
  no_place: 'No place was found for it.',
  never_reported: 'Its system did not come up in time, or the worker program did not start.',
  not_picked_up: 'It did not pick up the run that it was given.',
  not_drained: 'It did not get rid of its last run in time.',
  silent: 'It was not heard of for too long.',
  left: 'It ended by its own rules: nobody gave it work, or its time was over.',
  failed: 'Something on it does not work, and it gave up.',
  preempted: 'Its provider took it back.',
  stopped: 'Somebody stopped it.',
  vanished: 'It is not there any more, and nobody here asked for that.',
  run_stopped: 'Its run had to be ended, and it did not end it by itself.',
} as const;
export type WorkerEnd = keyof typeof WORKER_ENDS;

/** What became of a job that a worker had: it came to an end; the machine never began it; the machine was lost with it. */
export type JobOutcome = 'done' | 'called_off' | 'lost';
