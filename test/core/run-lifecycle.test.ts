import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CAUSES, type Cause, eventOfCause } from '../../src/core/causes.ts';
import {
  HOLDING_STATES,
  holdsCapacity,
  isTerminal,
  judgeEvent,
  pipelineState,
  RUN_STATES,
  RUN_TRANSITIONS,
  type RunEventName,
  type RunState,
  TERMINAL_STATES,
} from '../../src/core/run-lifecycle.ts';

const EVENTS = Object.keys(RUN_TRANSITIONS) as RunEventName[];
const anyState = fc.constantFrom(...RUN_STATES);
const anyEvent = fc.constantFrom(...EVENTS);
const anyEvents = fc.array(anyEvent, { maxLength: 40 });

function order(state: RunState): number {
  return isTerminal(state) ? RUN_STATES.length : RUN_STATES.indexOf(state);
}

/** The states a new run passes, one per event that moved it. */
function live(events: readonly RunEventName[]): { event: RunEventName; from: RunState; to: RunState }[] {
  const steps: { event: RunEventName; from: RunState; to: RunState }[] = [];
  let state: RunState = 'pending';
  for (const event of events) {
    const verdict = judgeEvent(state, event);
    if (verdict.kind !== 'moved') continue;
    steps.push({ event, from: state, to: verdict.to });
    state = verdict.to;
  }
  return steps;
}

describe('the life of a run', () => {
  it('goes the whole way in order', () => {
    const events: RunEventName[] = ['prepare', 'build', 'launch', 'start', 'finish', 'complete'];
    expect(live(events).map((step) => step.to)).toEqual([
      'preparing',
      'building',
      'launching',
      'running',
      'finishing',
      'completed',
    ]);
  });

  it('is final once it has ended, whatever comes', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const steps = live(events);
        expect(steps.filter((step) => isTerminal(step.from))).toEqual([]);
        expect(steps.filter((step) => isTerminal(step.to)).length).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('never goes back, except by a restart and then to pending', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        for (const { event, from, to } of live(events)) {
          if (event === 'restart') expect(to).toBe('pending');
          else expect(order(to)).toBeGreaterThan(order(from));
        }
      }),
    );
  });

  it('takes a repeated event as a replay, never as a second move', () => {
    fc.assert(
      fc.property(anyState, anyEvent, (state, event) => {
        const first = judgeEvent(state, event);
        if (first.kind === 'moved') expect(judgeEvent(first.to, event)).toEqual({ kind: 'replay' });
      }),
    );
  });

  it('can end in every way from every open state', () => {
    const ends = ['complete', 'fail', 'terminate', 'cancel'] as const;
    for (const state of ['pending', ...HOLDING_STATES] as const) {
      for (const end of ends) {
        expect(judgeEvent(state, end)).toEqual({ kind: 'moved', to: RUN_TRANSITIONS[end].to });
      }
    }
  });

  it('is restarted only after it was launched', () => {
    const restartable = RUN_STATES.filter((state) => judgeEvent(state, 'restart').kind === 'moved');
    expect(restartable).toEqual(['launching', 'running', 'finishing']);
  });

  it('may be found finished before anybody saw it run', () => {
    expect(judgeEvent('launching', 'finish')).toEqual({ kind: 'moved', to: 'finishing' });
  });

  it('says why an event is refused', () => {
    expect(judgeEvent('completed', 'cancel')).toEqual({ kind: 'refused', why: 'completed is final' });
    expect(judgeEvent('pending', 'start')).toEqual({
      kind: 'refused',
      why: 'start does not follow pending',
    });
  });

  it('holds a slot of capacity from its claim to its end', () => {
    expect(RUN_STATES.filter(holdsCapacity)).toEqual([...HOLDING_STATES]);
  });
});

describe('the state of a pipeline run', () => {
  it.each<[RunState[], string]>([
    [['completed', 'canceled', 'terminated', 'failed'], 'failed'],
    [['completed', 'canceled', 'terminated'], 'terminated'],
    [['completed', 'canceled'], 'canceled'],
    [['completed', 'completed'], 'completed'],
    [['pending', 'pending'], 'pending'],
    [['completed', 'pending'], 'running'],
    [['failed', 'running'], 'running'],
  ])('of runs that are %s is %s', (states, expected) => {
    expect(pipelineState(states.map((state) => ({ state })))).toBe(expected);
  });

  it('is terminal exactly when every run is, in whatever order they are listed', () => {
    fc.assert(
      fc.property(fc.array(anyState, { minLength: 1, maxLength: 8 }), (states) => {
        const runs = states.map((state) => ({ state }));
        const state = pipelineState(runs);
        expect(isTerminal(state)).toBe(states.every(isTerminal));
        expect(pipelineState([...runs].reverse())).toBe(state);
      }),
    );
  });
});

describe('causes', () => {
  it.each(Object.keys(CAUSES) as Cause[])('%s ends a run in the state it belongs to', (cause) => {
    const event = eventOfCause(cause);
    expect(judgeEvent('pending', event)).toEqual({ kind: 'moved', to: CAUSES[cause].state });
    expect(TERMINAL_STATES).toContain(CAUSES[cause].state);
  });
});
