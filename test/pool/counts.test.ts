import { afterEach, describe, expect, it } from 'vitest';
import type { Db } from '../../src/store/database.ts';
import { createRig, type Rig, ZONES } from './rig.ts';

/** More than a look takes now, and far fewer than one for each of 50 workers. */
const MOST_STATEMENTS = 8;
const MOST_LISTS = 3;

let rig: Rig;
afterEach(() => rig.dispose());

type Counts = { statements: number; lists: number; deletions: number };

/** What one look of the supervisor does, in statements and calls. */
async function countOneLook(): Promise<Counts> {
  let statements = 0;
  let lists = 0;
  const before = rig.sim.calls.records.length;
  const asking = whenAsked(rig.db, () => {
    statements += 1;
  });
  const listing = whenListed(() => {
    lists += 1;
  });
  await rig.look();
  asking();
  listing();
  const asked = rig.sim.calls.records.slice(before).map(({ id }) => id);
  lists += asked.filter((id) => /\.(list|aggregatedList)$/.test(id)).length;
  return { statements, lists, deletions: asked.filter((id) => id === 'instances.delete').length };
}

/** Called for each statement that is carried out, and for each transaction. What comes back ends that. */
function whenAsked(db: Db, asked: () => void): () => void {
  const { prepare, write } = db;
  db.prepare = <Row>(sql: string) => {
    const { get, all, run } = prepare<Row>(sql);
    return {
      get: (...params) => {
        asked();
        return get(...params);
      },
      all: (...params) => {
        asked();
        return all(...params);
      },
      run: (...params) => {
        asked();
        return run(...params);
      },
    };
  };
  db.write = (work) => {
    asked();
    return write(work);
  };
  return () => void Object.assign(db, { prepare, write });
}

function whenListed(listed: () => void): () => void {
  const { storage } = rig;
  const { list } = storage;
  storage.list = (...args) => {
    listed();
    return list(...args);
  };
  return () => void Object.assign(storage, { list });
}

/** What looks take when so many machines have each told that they work, that their runs are over, and when all are given back. */
async function countLooks(machines: number): Promise<Record<'letters' | 'ends' | 'losses', Counts>> {
  rig = createRig({ policy: { maxInstances: machines } });
  const states = (): string[] => [...new Set(rig.workers().map(({ state }) => state))];
  rig.start();
  for (let one = 0; one < machines; one += 1) rig.submit({ seconds: 300 });
  await rig.until(() => rig.workers().length === machines && states().join() === 'busy');
  rig.crash();
  await rig.pass(30);
  const letters = await countOneLook();
  await rig.pass(320);
  const ends = await countOneLook();
  expect(states()).toEqual(['draining']);
  rig.policy.enabled = false;
  const losses = await countOneLook();
  expect(states()).toEqual(['deleting']);
  return { letters, ends, losses };
}

/** What two looks take when so many machines, half of them in each of two zones, were switched off at once by nobody here. */
async function countLosses(machines: number): Promise<Counts[]> {
  rig = createRig({ policy: { maxInstances: machines } });
  rig.sim.faults.add({ kind: 'stock-out', zone: 'us-central1-a', times: Math.floor(machines / 2) });
  rig.start();
  for (let one = 0; one < machines; one += 1) rig.submit({ seconds: 3_000 });
  await rig.until(() => rig.deeds.filter(({ what }) => what === 'begin').length === machines);
  await rig.pass(30);
  rig.crash();
  expect(new Set(rig.workers().map(({ zone }) => zone))).toEqual(new Set(ZONES));
  for (const { id } of rig.workers()) rig.sim.stop(id);
  await rig.pass(300);
  const looks = [await countOneLook()];
  const left = rig.workers().filter(({ state }) => state === 'busy').length;
  looks.push(await countOneLook());
  expect([left, rig.workers().filter(({ state }) => state === 'busy').length]).toEqual([
    expect.toSatisfy((n: number) => n > 0 && n < machines),
    0,
  ]);
  return looks;
}

describe('one look at the pool', () => {
  it('takes as many statements for 50 machines as for 5, and at most three lists', async () => {
    const few = await countLooks(5);
    rig.dispose();
    const many = await countLooks(50);
    for (const what of ['letters', 'ends', 'losses'] as const) {
      const { statements, lists } = many[what];
      expect([what, statements]).toEqual([what, few[what].statements]);
      expect(statements).toBeGreaterThan(0);
      expect(statements).toBeLessThanOrEqual(MOST_STATEMENTS);
      expect(lists).toBeGreaterThan(0);
      expect(lists).toBeLessThanOrEqual(MOST_LISTS);
    }
    expect([few.losses.deletions, many.losses.deletions]).toEqual([5, 50]);
  });

  it('asks why machines are lost once, however many are, and of each zone in its turn', async () => {
    const few = await countLosses(6);
    rig.dispose();
    const many = await countLosses(50);
    expect(many.map(({ statements }) => statements)).toEqual(few.map(({ statements }) => statements));
    for (const { statements, lists } of many) {
      expect(statements).toBeLessThanOrEqual(MOST_STATEMENTS);
      expect(lists).toBe(MOST_LISTS);
    }
  });

  it('does not take longer for machines that are gone: nothing of them is kept in the bucket', async () => {
    rig = createRig({ policy: { enabled: false } });
    rig.start();
    const jobs = Array.from({ length: 5 }, () => rig.submit({ seconds: 10 }));
    await rig.until(() => jobs.every(({ state }) => state === 'done') && rig.workers().length === 0);
    await rig.pass(10);
    expect(rig.storage.keys().filter((key) => key.startsWith('workers/'))).toEqual([]);
  });
});
