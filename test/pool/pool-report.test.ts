import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Letter } from '../../src/pool/documents.ts';
import { type KeptPolicy, poolReport } from '../../src/pool/pool-report.ts';
import { machinesOfRuns } from '../../src/pool/run-machines.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { overdueWorkers } from '../../src/store/pool-report.ts';
import { begin, finish, giveJob, happen, POOL_START, poolTime, rent, vanish } from '../support/pool-rows.ts';

const A = 'goldfish-aaaaaaaaaaaa';
const B = 'goldfish-bbbbbbbbbbbb';
const POLICY: KeptPolicy = { enabled: true, maxInstances: 2, idleTimeoutSeconds: 300, profiles: null };

/** What A has told last. */
const LETTER: Letter = {
  schema: 1,
  worker: A,
  boot: 1,
  phase: 'working',
  number: 1,
  job: 'claimed',
  leaves: null,
  publicKey: null,
  images: ['sha256:aaaa', 'sha256:bbbb'],
  driver: '550.54.15',
  at: '2026-01-01T00:00:00Z',
};

let db: Db;
beforeEach(() => {
  db = openDatabase(':memory:', { create: true });
});
afterEach(() => db.close());

const report = (seconds = 3600, policy: Partial<KeptPolicy> = {}) =>
  poolReport(db, { policy: { ...POLICY, ...policy }, now: POOL_START + seconds * 1000 });

/** Begins one run on a new machine after some seconds, and another one on the same machine. */
function coldAndWarm(
  id: string,
  { cold, warm, ...rented }: { cold: number; warm: number; profile?: string },
) {
  rent(db, id, { runId: `stage-${id}-1`, ...rented });
  begin(db, id, cold);
  finish(db, id, cold + 100);
  giveJob(db, id, { runId: `stage-${id}-2`, at: 2000 });
  begin(db, id, 2000 + warm);
}

describe('the report of the pool', () => {
  it('is all zeros and nothing known where nothing was ever rented', () => {
    expect(report()).toEqual({
      enabled: true,
      limits: { maxInstances: 2, idleTimeoutSeconds: 300, profiles: null },
      counts: { launching: 0, busy: 0, draining: 0, idle_ready: 0, deleting: 0 },
      workers: [],
      starts: 0,
      warmStarts: 0,
      hitRate: null,
      secondsSaved: null,
      moneySaved: null,
      machines: 0,
      cost: 0,
    });
  });

  it('shows a machine with its run, its age and what it has cost', () => {
    rent(db, A, { runId: 'stage-000000000001', at: 600 });
    begin(db, A, 690);
    happen(db, A, { sighting: { letter: { generation: '1', content: LETTER } } }, 3590);
    const { workers, counts } = report();
    expect(counts).toMatchObject({ busy: 1, launching: 0 });
    expect(workers).toEqual([
      {
        id: A,
        state: 'busy',
        stateAt: poolTime(690),
        profile: 'cpu-small',
        zone: 'us-central1-a',
        model: 'spot',
        pooled: true,
        job: { runId: 'stage-000000000001', attempt: 1 },
        ageSeconds: 3000,
        pricePerHour: 0.36,
        cost: expect.closeTo(0.3, 9),
        letterAgeSeconds: 10,
        images: 2,
        driver: '550.54.15',
        endReason: null,
      },
    ]);
  });

  it('shows what is asked for as free of cost until it is seen, and what goes with its reason', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    rent(db, B, { runId: 'stage-000000000002' });
    begin(db, B, 60);
    happen(db, B, { event: 'delete', reason: 'silent' }, 1000);
    expect(report().workers).toMatchObject([
      { id: A, state: 'launching', cost: 0, letterAgeSeconds: null, images: null, driver: null },
      { id: B, state: 'deleting', job: null, endReason: 'silent', cost: expect.closeTo(0.36, 9) },
    ]);
  });

  it.each<Partial<KeptPolicy>>([
    { enabled: false },
    { maxInstances: 0 },
    { idleTimeoutSeconds: 0 },
    { profiles: [] },
  ])('is not enabled where no machine is ever kept: %j', (policy) => {
    expect(report(0, policy).enabled).toBe(false);
  });
});

describe('what the pool saved', () => {
  it('is, for each warm start, the median cold start less the median warm one', () => {
    coldAndWarm(A, { cold: 90, warm: 10 });
    expect(report()).toMatchObject({ starts: 2, warmStarts: 1, hitRate: 0.5 });
    expect(report().secondsSaved).toBeCloseTo(80, 3);
    expect(report().moneySaved).toBeCloseTo((80 * 0.36) / 3600, 9);
    // One that took very long is not the measure of them.
    coldAndWarm(B, { cold: 100, warm: 10 });
    coldAndWarm('goldfish-cccccccccccc', { cold: 1500, warm: 40 });
    expect(report().secondsSaved).toBeCloseTo(3 * 90, 3);
  });

  it('takes the middle of the two in the middle where they are even in number', () => {
    coldAndWarm(A, { cold: 90, warm: 10 });
    coldAndWarm(B, { cold: 110, warm: 20 });
    expect(report().secondsSaved).toBeCloseTo(2 * 85, 3);
  });

  it('is counted by profile, and left out for one that never had a cold start to compare', () => {
    coldAndWarm(A, { cold: 90, warm: 10 });
    rent(db, B, { runId: 'stage-000000000003', profile: 'h100-spot' });
    // Its first run was called off, so that only the second one was begun.
    happen(db, B, { calledOff: true, sighting: { running: true } }, 50);
    happen(db, B, { event: 'rest' }, 60);
    giveJob(db, B, { runId: 'stage-000000000004', at: 70 });
    begin(db, B, 75);
    expect(report()).toMatchObject({ starts: 3, warmStarts: 2 });
    expect(report().secondsSaved).toBeCloseTo(80, 3);
  });

  it('is never below nothing', () => {
    coldAndWarm(A, { cold: 10, warm: 90 });
    expect(report()).toMatchObject({ secondsSaved: 0, moneySaved: 0 });
  });

  it('has no money where no price is known', () => {
    rent(db, A, { runId: 'stage-000000000001', pricePerHour: null });
    begin(db, A, 90);
    finish(db, A, 100);
    giveJob(db, A, { runId: 'stage-000000000002', at: 200 });
    begin(db, A, 210);
    expect(report()).toMatchObject({ moneySaved: null, cost: null, machines: 1 });
    expect(report().secondsSaved).toBeCloseTo(80, 3);
    expect(report().workers).toMatchObject([{ pricePerHour: null, cost: null }]);
  });
});

describe('what was rented in all', () => {
  it('is paid for until it is gone, and counted also then', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    begin(db, A, 90);
    vanish(db, A, 1800);
    rent(db, B, { runId: 'stage-000000000002', at: 1800 });
    begin(db, B, 1900);
    const { machines, cost, workers } = report();
    expect({ machines, workers: workers.map(({ id }) => id) }).toEqual({ machines: 2, workers: [B] });
    expect(cost).toBeCloseTo(0.36, 9);
  });

  /** What the machine costs while its row is there, and what all cost once it is gone: the same. */
  function costOfGone(goneAt: number): number | null {
    const own = report().workers[0]?.cost ?? null;
    vanish(db, A, goneAt);
    expect(report().cost).toBe(own);
    return own;
  }

  it('is paid for until it was not found, however long it takes to be certain', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    begin(db, A, 90);
    happen(db, A, { sighting: { absent: true } }, 1000);
    happen(db, A, { sighting: { absent: true } }, 2000);
    expect(costOfGone(3000)).toBeCloseTo(0.1, 9);
  });

  it('is paid for on after it was not found for a moment', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    begin(db, A, 90);
    happen(db, A, { sighting: { absent: true } }, 1000);
    happen(db, A, { sighting: { absent: false } }, 1010);
    expect(report()).toMatchObject({
      cost: expect.closeTo(0.36, 9),
      workers: [{ cost: expect.closeTo(0.36, 9) }],
    });
  });

  it('is paid for until its last letter where no list ever showed it', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    happen(db, A, { sighting: { absent: true } }, 10);
    happen(db, A, { sighting: { absent: true, letter: { generation: '1', content: {} } } }, 1000);
    expect(costOfGone(3000)).toBeCloseTo(0.1, 9);
  });

  it('is paid for a minute at least', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    begin(db, A, 9);
    happen(db, A, { sighting: { absent: true } }, 11);
    expect(costOfGone(26)).toBeCloseTo(0.006, 9);
  });

  it('does not count what no place was found for', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    happen(db, A, { event: 'delete', reason: 'no_place', calledOff: true }, 100);
    vanish(db, A, 200);
    expect(report()).toMatchObject({ machines: 0, cost: 0, starts: 0 });
  });

  it('counts one that was only heard of', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    happen(db, A, { sighting: { letter: { generation: '1', content: {} } } }, 100);
    vanish(db, A, 3600);
    expect(report()).toMatchObject({ machines: 1, cost: expect.closeTo(0.36, 9) });
  });
});

describe('reading the report', () => {
  it('takes as many statements for fifty machines as for one', () => {
    const statements = (): number => {
      let count = 0;
      const counting: Db = {
        ...db,
        prepare: <Row>(sql: string) => {
          count += 1;
          return db.prepare<Row>(sql);
        },
      };
      poolReport(counting, { policy: POLICY, now: POOL_START });
      machinesOfRuns(
        counting,
        Array.from({ length: 50 }, (_, n) => `stage-${n}`),
      );
      overdueWorkers(counting, { withoutWork: poolTime(0), deleting: poolTime(0) });
      return count;
    };
    rent(db, A, { runId: 'stage-0' });
    const before = statements();
    for (let n = 1; n < 50; n += 1) rent(db, `goldfish-${n}`, { runId: `stage-${n}` });
    expect(statements()).toBe(before);
    expect(before).toBeLessThanOrEqual(6);
  });
});

describe('the machine of a run', () => {
  it('is told for each attempt, with what a warm one saved', () => {
    coldAndWarm(A, { cold: 90, warm: 10 });
    expect(machinesOfRuns(db, [`stage-${A}-1`, `stage-${A}-2`, 'stage-of-here'])).toEqual([
      {
        runId: `stage-${A}-1`,
        attempt: 1,
        workerId: A,
        zone: 'us-central1-a',
        model: 'spot',
        warm: false,
        savedSeconds: null,
      },
      {
        runId: `stage-${A}-2`,
        attempt: 1,
        workerId: A,
        zone: 'us-central1-a',
        model: 'spot',
        warm: true,
        savedSeconds: expect.closeTo(80, 3),
      },
    ]);
  });

  it('is not one that never began it, and nothing is said to be saved before it has begun', () => {
    coldAndWarm(A, { cold: 90, warm: 10 });
    finish(db, A, 2100);
    rent(db, B, { runId: 'stage-000000000009' });
    happen(db, B, { event: 'delete', reason: 'never_reported', calledOff: true }, 2200);
    giveJob(db, A, { runId: 'stage-000000000009', at: 2200 });
    expect(machinesOfRuns(db, ['stage-000000000009'])).toMatchObject([
      { workerId: A, warm: true, savedSeconds: null },
    ]);
  });
});

describe('what a warm machine saved', () => {
  it('is not measured by the cold starts of another profile', () => {
    coldAndWarm(A, { cold: 90, warm: 10, profile: 'a100-spot' });
    coldAndWarm(B, { cold: 200, warm: 10, profile: 'cpu-small' });
    const saved = machinesOfRuns(db, [`stage-${A}-2`, `stage-${B}-2`]).map(
      ({ savedSeconds }) => savedSeconds,
    );
    expect(saved).toEqual([expect.closeTo(80, 3), expect.closeTo(190, 3)]);
  });
});

describe('machines that cost money for nothing', () => {
  const overdue = (idle: number, deleting: number) =>
    overdueWorkers(db, { withoutWork: poolTime(idle), deleting: poolTime(deleting) }).map(
      ({ id, since }) => `${id} ${since}`,
    );

  it('are those that are without work since then', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    begin(db, A, 90);
    expect(overdue(5000, 5000)).toEqual([]);
    finish(db, A, 200);
    expect(overdue(199, 5000)).toEqual([]);
    expect(overdue(200, 0)).toEqual([`${A} ${poolTime(200)}`]);
    giveJob(db, A, { runId: 'stage-000000000002', at: 300 });
    expect(overdue(5000, 5000)).toEqual([]);
  });

  it('are counted from the end of their last job where their state is older than that', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    happen(db, A, { calledOff: true, sighting: { running: true } }, 400);
    expect(overdue(399, 0)).toEqual([]);
    expect(overdue(400, 0)).toEqual([`${A} ${poolTime(400)}`]);
  });

  it('are those that are still there after their deletion was asked for, until they are gone', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    begin(db, A, 90);
    happen(db, A, { event: 'delete', reason: 'silent' }, 500);
    expect(overdue(5000, 499)).toEqual([]);
    expect(overdue(0, 500)).toEqual([`${A} ${poolTime(500)}`]);
    vanish(db, A, 600);
    expect(overdue(5000, 5000)).toEqual([]);
  });

  it('are none where no machine was ever asked for', () => {
    rent(db, A, { runId: 'stage-000000000001' });
    db.prepare('UPDATE workers SET placed_at = NULL').run();
    happen(db, A, { event: 'delete', reason: 'canceled', calledOff: true }, 10);
    expect(overdue(5000, 5000)).toEqual([]);
  });
});
