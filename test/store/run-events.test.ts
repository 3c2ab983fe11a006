import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAUSES, type Cause } from '../../src/core/causes.ts';
import { isoTime } from '../../src/core/clock.ts';
import type { StageRun } from '../../src/core/rows.ts';
import { isTerminal, judgeEvent, type RunState } from '../../src/core/run-lifecycle.ts';
import type { StagePlan } from '../../src/core/stage-plan.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { insertPipelineRun } from '../../src/store/pipeline-runs.ts';
import { applyRunEvent, endRun, eventsOfRun } from '../../src/store/run-events.ts';
import { getStageRun, insertStageRun } from '../../src/store/stage-runs.ts';
import { insertWorkspace } from '../../src/store/workspaces.ts';

const AT = isoTime(0);
let folder: string;
let db: Db;
let made = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-run-events-'));
  db = openDatabase(join(folder, 'goldfish.db'), { create: true });
  // Durability is not what is tested here, and a sync per event is what costs.
  db.prepare('PRAGMA synchronous = OFF').run();
  insertWorkspace(
    db,
    { name: 'exp', goal: 'g', fromWorkspace: null, fromVersion: null, createdAt: AT },
    {
      workspace: 'exp',
      version: 1,
      gitSha: 'a',
      treeSha: 'b',
      createdBy: 'fork',
      message: 'm',
      createdAt: AT,
      prunedAt: null,
    },
  );
  insertPipelineRun(db, {
    id: 'prun-000000000001',
    workspace: 'exp',
    version: 1,
    pipeline: 'p',
    submissionKey: 'k',
    state: 'pending',
    reason: 'r',
    request: {},
    maxParallel: null,
    goldfishVersion: '0',
    createdAt: AT,
    endedAt: null,
    group: null,
    retryOf: null,
  });
});

afterAll(() => {
  db.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A run that was just submitted. */
function newRun(): string {
  made += 1;
  const id = `stage-${made.toString(16).padStart(12, '0')}`;
  const plan: StagePlan = {
    stage: 's',
    command: ['true'],
    config: {},
    compute: {
      backend: 'process',
      profile: 'default',
      nodes: 1,
      timeoutSeconds: 1,
      stopGraceSeconds: 1,
      memoryBytes: null,
      cpus: null,
      gpus: 0,
      pidsLimit: null,
      network: true,
      heartbeatTimeoutSeconds: null,
    },
    environment: {},
    secrets: {},
    image: null,
    inputs: [],
    outputs: [],
    needs: [],
    cache: true,
    codeHash: 'h',
    environmentKey: 'e',
  };
  insertStageRun(db, {
    id,
    pipelineRunId: 'prun-000000000001',
    position: made,
    workspace: 'exp',
    version: 1,
    stage: 's',
    backend: 'process',
    profile: 'default',
    plan,
    needs: [],
    createdAt: AT,
  });
  return id;
}

function read(id: string): StageRun {
  const run = getStageRun(db, id);
  if (!run) throw new Error('the run is gone');
  return run;
}

type Step =
  | { kind: 'move'; event: 'prepare' | 'build' | 'launch' | 'start' | 'finish' | 'restart'; attempt?: number }
  | { kind: 'end'; cause: Cause; message: string }
  /** The process dies in the transaction that holds the step. */
  | { kind: 'crash'; during: Step };

const anyMove: fc.Arbitrary<Step> = fc.record(
  {
    kind: fc.constant('move' as const),
    event: fc.constantFrom('prepare', 'build', 'launch', 'start', 'finish', 'restart'),
    attempt: fc.integer({ min: 1, max: 3 }),
  },
  { requiredKeys: ['kind', 'event'] },
);
const anyEnd: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('end' as const),
  cause: fc.constantFrom(...(Object.keys(CAUSES) as Cause[])),
  message: fc.string(),
});
const anyStep = fc.oneof(
  { weight: 8, arbitrary: anyMove },
  { weight: 2, arbitrary: anyEnd },
  {
    weight: 1,
    arbitrary: fc.oneof(anyMove, anyEnd).map((during): Step => ({ kind: 'crash', during })),
  },
);

function take(id: string, step: Step): string {
  if (step.kind === 'crash') {
    try {
      return db.write(() => {
        take(id, step.during);
        throw new Error('died');
      });
    } catch {
      return 'lost';
    }
  }
  const change = { runId: id, source: 'supervisor', at: AT } as const;
  if (step.kind === 'end') {
    return endRun(db, { ...change, cause: step.cause, patch: { errorMessage: step.message } }).kind;
  }
  const attempt = step.attempt === undefined ? {} : { attempt: step.attempt };
  return applyRunEvent(db, { ...change, ...attempt, event: step.event }).kind;
}

describe('a run in the store, whatever happens to it', () => {
  it('moves exactly as the lifecycle says, with one event row for each move', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 25 }), (steps) => {
        const id = newRun();
        for (const step of steps) {
          const before = read(id);
          const rows = eventsOfRun(db, id).length;
          const kind = take(id, step);
          const after = read(id);
          const moved = kind === 'moved';
          expect(eventsOfRun(db, id).length).toBe(rows + (moved ? 1 : 0));
          if (!moved) expect(after).toEqual(before);
          if (step.kind === 'move' && (step.attempt ?? before.attempt) === before.attempt) {
            expect(kind).toBe(judgeEvent(before.state, step.event).kind);
          }
          if (isTerminal(before.state)) expect(after).toEqual(before);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('has a history that leads to its state without a gap, and ends once', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 25 }), (steps) => {
        const id = newRun();
        for (const step of steps) take(id, step);
        const run = read(id);
        const [submit, ...events] = eventsOfRun(db, id);
        expect(submit).toMatchObject({ event: 'submit', fromState: null, toState: 'pending' });
        let state: RunState = 'pending';
        let attempt = 1;
        for (const event of events) {
          expect(event).toMatchObject({ fromState: state, attempt });
          state = event.toState;
          if (event.event === 'restart') attempt += 1;
        }
        expect(run).toMatchObject({ state, attempt });
        expect(events.filter((event) => isTerminal(event.toState)).length).toBe(isTerminal(state) ? 1 : 0);
        expect(run.endedAt === null).toBe(!isTerminal(state));
        expect(run.cause === null ? undefined : CAUSES[run.cause].state).toBe(
          isTerminal(state) ? state : undefined,
        );
      }),
      { numRuns: 60 },
    );
  });

  it('keeps the first error it was given', () => {
    const id = newRun();
    const change = { runId: id, source: 'backend', at: AT } as const;
    applyRunEvent(db, { ...change, event: 'prepare', patch: { errorMessage: 'the first' } });
    endRun(db, { ...change, cause: 'exit_nonzero', patch: { errorMessage: 'the second', exitCode: 3 } });
    endRun(db, { ...change, cause: 'exit_nonzero', patch: { errorMessage: 'the third', exitCode: 4 } });
    expect(read(id)).toMatchObject({ state: 'failed', errorMessage: 'the first', exitCode: 3 });
  });

  it('is not moved by an event of an attempt that is over', () => {
    const id = newRun();
    const change = { runId: id, source: 'backend', at: AT } as const;
    for (const event of ['prepare', 'launch', 'restart', 'prepare', 'launch'] as const) {
      applyRunEvent(db, { ...change, event });
    }
    expect(endRun(db, { ...change, cause: 'success', attempt: 1 })).toEqual({
      kind: 'refused',
      why: 'attempt 1 is not the current one',
    });
    expect(read(id)).toMatchObject({ state: 'launching', attempt: 2 });
  });

  it('does not exist by being spoken of', () => {
    expect(applyRunEvent(db, { runId: 'stage-none', source: 'caller', at: AT, event: 'prepare' })).toEqual({
      kind: 'refused',
      why: 'no such run',
    });
  });
});
