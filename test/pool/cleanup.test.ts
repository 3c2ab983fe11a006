import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import { isGoldfishError } from '../../src/core/errors.ts';
import { cleanUpPool } from '../../src/pool/cleanup.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { begin, finish, giveJob, happen, poolTime, rent, vanish, workerOf } from '../support/pool-rows.ts';
import { createRig } from './rig.ts';

const IDLE = 'goldfish-aaaaaaaaaaaa';
const BUSY = 'goldfish-bbbbbbbbbbbb';
const RUN = 'stage-000000000002';

let db: Db;
beforeEach(() => {
  db = openDatabase(':memory:', { create: true });
  rent(db, IDLE, { runId: 'stage-000000000001' });
  begin(db, IDLE, 90);
  finish(db, IDLE, 200);
  rent(db, BUSY, { runId: RUN });
  begin(db, BUSY, 90);
});
afterEach(() => db.close());

function cleanUp(worker?: string, seconds = 1000) {
  const { deleted, pending, remaining } = cleanUpPool(db, { worker, at: poolTime(seconds) });
  return { deleted, pending, remaining: remaining.map(({ id }) => id) };
}

function refusal(worker: string) {
  try {
    cleanUp(worker);
  } catch (error) {
    if (!isGoldfishError(error)) throw error;
    const { code, message, hint, details, fix } = error;
    return { code, message, hint, details, fix };
  }
  throw new Error('it was not refused');
}

const states = () => [IDLE, BUSY].map((id) => workerOf(db, id).state);

describe('a clean-up', () => {
  it('marks what has no work, with its reason, and leaves what has', () => {
    expect(cleanUp()).toEqual({ deleted: [], pending: [IDLE], remaining: [BUSY] });
    expect(workerOf(db, IDLE)).toMatchObject({
      state: 'deleting',
      endReason: 'cleanup',
      stateAt: poolTime(1000),
    });
    expect(workerOf(db, BUSY)).toMatchObject({ state: 'busy', lease: { runId: RUN } });
  });

  it('takes what removes its last job, and what boots for a run that was called off', () => {
    happen(db, BUSY, { event: 'drain', claimed: true }, 900);
    rent(db, 'goldfish-cccccccccccc', { runId: 'stage-000000000003' });
    happen(db, 'goldfish-cccccccccccc', { calledOff: true, sighting: { running: true } }, 950);
    expect(cleanUp()).toEqual({
      deleted: [],
      pending: [IDLE, BUSY, 'goldfish-cccccccccccc'],
      remaining: [],
    });
  });

  it('may be repeated: it changes nothing more, and tells what is gone since', () => {
    cleanUp();
    expect(cleanUp(undefined, 1001)).toEqual({ deleted: [], pending: [IDLE], remaining: [BUSY] });
    expect(workerOf(db, IDLE).stateAt).toBe(poolTime(1000));
    vanish(db, IDLE, 1010);
    expect(cleanUp(undefined, 1011)).toEqual({ deleted: [IDLE], pending: [], remaining: [BUSY] });
    // Later it is no news any more.
    expect(cleanUp(undefined, 1011 + 3600).deleted).toEqual([]);
  });

  it('does not tell of machines that went for other reasons', () => {
    vanish(db, IDLE, 950);
    expect(cleanUp()).toEqual({ deleted: [], pending: [], remaining: [BUSY] });
  });

  it('of one worker leaves the others, and tells where that one is', () => {
    finish(db, BUSY, 900);
    expect(cleanUp(BUSY)).toEqual({ deleted: [], pending: [BUSY], remaining: [IDLE] });
    expect(states()).toEqual(['idle_ready', 'deleting']);
    vanish(db, BUSY, 1010);
    expect(cleanUp(BUSY)).toEqual({ deleted: [BUSY], pending: [], remaining: [IDLE] });
  });

  it.each([IDLE, 'goldfish-aaaaaa', 'aaaaaa'])('finds a worker by id or prefix: %s', (typed) => {
    expect(cleanUp(typed).pending).toEqual([IDLE]);
  });

  it('has nothing to do with a machine that was given work meanwhile', () => {
    giveJob(db, IDLE, { runId: 'stage-000000000004', at: 999 });
    expect(cleanUp()).toEqual({ deleted: [], pending: [], remaining: [IDLE, BUSY] });
  });
});

describe('a machine that was marked', () => {
  it('is deleted by the next looks of the supervisor, and the run after that gets another one', async () => {
    const rig = createRig();
    try {
      rig.start();
      const first = rig.submit();
      await rig.until(() => rig.workers().at(0)?.state === 'idle_ready');
      const { pending } = cleanUpPool(rig.db, { at: isoTime(rig.time.now()) });
      expect(pending).toEqual(first.workers);
      await rig.until(() => rig.workers().length === 0, 120);
      expect(rig.sim.instances()).toEqual([]);
      const second = rig.submit();
      await rig.until(() => second.state === 'done');
      expect([second.workers.length, second.workers[0] === first.workers[0]]).toEqual([1, false]);
    } finally {
      rig.dispose();
    }
  });
});

describe('a clean-up that is refused', () => {
  it('for a worker with work names the run, and the call that ends it', () => {
    expect(refusal(BUSY)).toEqual({
      code: 'CONFLICT',
      message: `${BUSY} belongs to the run ${RUN}, which has not ended.`,
      hint: 'Wait for its end or cancel it, then call this again.',
      details: { worker: BUSY, run_id: RUN },
      fix: {
        tool: 'cancel',
        arguments: { target: RUN, reason: `End it: its machine ${BUSY} is to be given back` },
      },
    });
    expect(states()).toEqual(['idle_ready', 'busy']);
  });

  it('for an unknown worker names the nearest, and those that there are', () => {
    expect(refusal('goldfish-aaaaaaaaaaab')).toEqual({
      code: 'INVALID_ARGUMENT',
      message: 'There is no worker "goldfish-aaaaaaaaaaab".',
      hint: `Did you mean ${IDLE}?`,
      details: { field: 'worker', allowed: [IDLE, BUSY] },
      fix: undefined,
    });
    expect(refusal('w1')).toMatchObject({ hint: 'warm_pool_status shows those that are there.' });
    expect(states()).toEqual(['idle_ready', 'busy']);
  });

  it('says where there is no worker at all', () => {
    vanish(db, IDLE, 950);
    vanish(db, BUSY, 950);
    expect(refusal('w1')).toMatchObject({ hint: 'There is none.', details: { allowed: [] } });
  });

  it('for a prefix that fits several names them', () => {
    rent(db, 'goldfish-aaaaaa000000', { runId: 'stage-000000000005', at: 300 });
    expect(refusal('aaaaaa')).toEqual({
      code: 'AMBIGUOUS_ID',
      message: '"aaaaaa" fits several workers.',
      hint: 'Use more characters of the id.',
      details: { candidates: [IDLE, 'goldfish-aaaaaa000000'] },
      fix: undefined,
    });
  });

  it.each(['aaaaa', 'goldfish-', '', '%', 'goldfish-*'])('for what is too short or no id: %j', (typed) => {
    expect(refusal(typed).code).toBe('INVALID_ARGUMENT');
  });
});
