import { beforeEach, describe, expect, it } from 'vitest';
import type { Worker } from '../../src/core/rows.ts';
import { type Ages, createWorkerWatch, type Sight, type WorkerWatch } from '../../src/pool/worker-watch.ts';
import { letterOf, UNCLAIMED, WORKER, workerRow } from './worker-row.ts';

let now: number;
let watch: WorkerWatch;
beforeEach(() => {
  now = 5_000_000;
  watch = createWorkerWatch({ monotonic: () => now });
});

const ON: Sight['machine'] = { id: WORKER, zone: 'us-central1-a', power: 'on' };

/** What a look shows, so many seconds after the one before. */
function look(seconds: number, worker: Worker, change: Partial<Sight> = {}): Ages | undefined {
  now += seconds * 1000;
  return watch.look([{ worker, machine: ON, news: undefined, isReadable: true, ...change }])[0]?.ages;
}

const BLIND: [string, Partial<Sight>][] = [
  ['the letters cannot be read', { isReadable: false }],
  ['the machines cannot be listed', { machine: 'unknown' }],
];

describe('the time of a worker', () => {
  it('begins with the first look of the supervisor, and goes on from look to look', () => {
    expect(look(0, workerRow())).toEqual({ state: 0, place: 0, absent: 0, waiting: 0, silent: 0 });
    expect(look(5, workerRow())).toMatchObject({ state: 5, place: 5, silent: 5 });
    expect(look(10, workerRow())).toMatchObject({ state: 15, place: 15, silent: 15 });
  });

  it('in which the supervisor was away does not count beyond the longest look', () => {
    look(0, workerRow());
    expect(look(36_000, workerRow())).toMatchObject({ state: 30, silent: 30 });
  });

  it.each(BLIND)('stands still as long as %s', (_what, blind) => {
    const worker = workerRow({ state: 'launching', lease: UNCLAIMED });
    look(0, worker);
    look(5, worker);
    for (let minute = 0; minute < 20; minute += 1) look(10, worker, blind);
    expect(look(1, worker)).toMatchObject({ state: 6, waiting: 6, silent: 6 });
  });

  it.each(BLIND)('goes on for a machine that rests although %s', (_what, blind) => {
    const worker = workerRow({ state: 'idle_ready', lease: null });
    look(0, worker);
    expect(look(20, worker, blind)).toMatchObject({ state: 20, silent: 0 });
  });

  it('of its silence begins anew with each letter', () => {
    look(0, workerRow());
    look(20, workerRow());
    const news = { worker: WORKER, generation: '1001', letter: letterOf() };
    expect(look(1, workerRow(), { news })).toMatchObject({ silent: 0, state: 21 });
    expect(look(3, workerRow({ letterGeneration: '1001' }))).toMatchObject({ silent: 3, state: 24 });
  });

  it('of its silence begins with its claim where there never was a letter', () => {
    const mute = { letter: null, letterAt: null, letterGeneration: null };
    const worker = workerRow({ ...mute, state: 'launching', lease: UNCLAIMED });
    look(0, worker);
    expect(look(20, worker)).toMatchObject({ silent: 0 });
    look(1, workerRow(mute));
    expect(look(7, workerRow(mute))).toMatchObject({ silent: 7 });
  });

  it('with a job that it has not begun begins when it is first heard of', () => {
    const booting = workerRow({ state: 'launching', lease: UNCLAIMED, letterAt: null });
    look(0, booting);
    expect(look(20, booting)).toMatchObject({ waiting: 0, state: 20 });
    const heard = workerRow({ state: 'launching', lease: UNCLAIMED });
    expect(look(1, heard)).toMatchObject({ waiting: 0, state: 0 });
    expect(look(2, heard)).toMatchObject({ waiting: 2, state: 2 });
  });

  it('in its state begins anew with another state, and where its job was called off', () => {
    const launching = workerRow({ state: 'launching', lease: UNCLAIMED });
    look(0, launching);
    look(20, launching);
    const free = workerRow({ state: 'launching', lease: null });
    expect(look(1, free)).toMatchObject({ state: 0 });
    expect(look(2, free)).toMatchObject({ state: 2 });
    expect(look(1, workerRow({ state: 'idle_ready', lease: null }))).toMatchObject({ state: 0 });
  });

  it('of its absence begins with the first list that does not show it, at its place', () => {
    look(0, workerRow());
    expect(look(5, workerRow(), { machine: 'absent' })).toMatchObject({ absent: 0 });
    expect(look(5, workerRow(), { machine: 'absent' })).toMatchObject({ absent: 5 });
    // Nobody could say: it is neither longer nor over.
    expect(look(9, workerRow(), { machine: 'unknown' })).toMatchObject({ absent: 5 });
    expect(look(5, workerRow(), { machine: 'absent' })).toMatchObject({ absent: 10 });
    expect(look(5, workerRow({ placeNumber: 2 }), { machine: 'absent' })).toMatchObject({
      absent: 0,
      place: 0,
    });
    expect(look(5, workerRow({ placeNumber: 2 }))).toMatchObject({ absent: 0, place: 5 });
  });
});
