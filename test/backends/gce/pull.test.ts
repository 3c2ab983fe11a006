import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nothingKnown, pullAttempt } from '../../../src/backends/gce/pull-attempt.ts';
import { appendLog, readLog } from '../../../src/backends/log-segments.ts';
import { createRentedRig, type RentedRig } from './rented-rig.ts';

let rig: RentedRig;
let known = nothingKnown();
beforeEach(() => {
  rig = createRentedRig();
  known = nothingKnown();
});
afterEach(() => rig.dispose());

const pull = (): Promise<boolean> => {
  const { bucket, prefix, folders } = rig;
  return pullAttempt({ bucket, prefix, folders, known }, {});
};
const line = (text: string): string => `2026-01-01T00:00:00.000Z o  ${text}\n`;
const offset = (of: number): string => `${of}`.padStart(12, '0');
const lines = async (): Promise<string[]> =>
  (await readLog({ dir: rig.folders.log })).lines.map(({ text }) => text);
const sum = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('the log of a machine', () => {
  it('is joined from its pieces, each once, whatever was forgotten in between', async () => {
    await rig.put(`log/${offset(0)}.log/${offset(0)}`, line('one'));
    await pull();
    await rig.put(`log/${offset(0)}.log/${offset(line('one').length)}`, line('two'));
    known = nothingKnown();
    await pull();
    await pull();
    expect(await lines()).toEqual(['one', 'two']);
  });

  it('goes on where a death cut the adding of a piece short', async () => {
    await rig.put(`log/${offset(0)}.log/${offset(0)}`, line('one') + line('two'));
    await pull();
    const [name] = readdirSync(rig.folders.log);
    writeFileSync(join(rig.folders.log, name!), (line('one') + line('two')).slice(0, 40));
    known = nothingKnown();
    await pull();
    expect(await lines()).toEqual(['one', 'two']);
  });

  it('waits for a piece that is not there yet', async () => {
    const end = line('one').length;
    await rig.put(`log/${offset(0)}.log/${offset(end)}`, line('two'));
    await pull();
    expect(await lines()).toEqual([]);
    await rig.put(`log/${offset(0)}.log/${offset(0)}`, line('one'));
    await pull();
    expect(await lines()).toEqual(['one', 'two']);
  });

  it('comes behind that of the build, whose half last line goes, and keeps its place for ever', async () => {
    await appendLog({ dir: rig.folders.log, stream: 'build', texts: ['built'], now: 0 });
    const [first] = readdirSync(rig.folders.log);
    const built = readFileSync(join(rig.folders.log, first!));
    writeFileSync(join(rig.folders.log, first!), Buffer.concat([built, Buffer.from('2026-01-01T00:0')]));
    await rig.put(`log/${offset(0)}.log/${offset(0)}`, line('one'));
    await pull();
    expect(await lines()).toEqual(['built', 'one']);
    const size = line('one').length;
    await rig.put(`log/${offset(size)}.log/${offset(0)}`, line('next segment'));
    known = nothingKnown();
    await pull();
    expect(await lines()).toEqual(['built', 'one', 'next segment']);
    expect(readdirSync(rig.folders.log).sort()).toEqual(
      [0, built.length, built.length + size].map((start) => `${offset(start)}.log`),
    );
  });

  it('waits for the rest of a segment, though the next one is there', async () => {
    await rig.put(`log/${offset(0)}.log/${offset(0)}`, line('one'));
    const size = line('one').length;
    await rig.put(`log/${offset(2 * size)}.log/${offset(0)}`, line('three'));
    await pull();
    await rig.put(`log/${offset(0)}.log/${offset(size)}`, line('two'));
    await pull();
    await pull();
    expect(await lines()).toEqual(['one', 'two', 'three']);
  });

  it('of a flood keeps the first segment and the newest seven', async () => {
    for (let at = 0; at < 12; at += 1)
      await rig.put(`log/${offset(at * 30)}.log/${offset(0)}`, line('xyz').slice(0, 30));
    await pull();
    expect(readdirSync(rig.folders.log).sort()).toEqual(
      [0, 5, 6, 7, 8, 9, 10, 11].map((at) => `${offset(at * 30)}.log`),
    );
  });

  it('takes no other object for a piece of it', async () => {
    await rig.put('log/../../evil.log/0', 'x').catch(() => undefined);
    await rig.put('log/evil.log/000000000000', line('x'));
    await rig.put(`log/${offset(0)}.log/x`, line('x'));
    await pull();
    expect(await lines()).toEqual([]);
  });
});

describe('signs of life', () => {
  it('have the time of when they were noticed here, and are not touched again', async () => {
    await rig.put('control/heartbeat', 'one');
    await pull();
    writeFileSync(rig.folders.heartbeat, 'mine');
    await pull();
    expect(readFileSync(rig.folders.heartbeat, 'utf8')).toBe('mine');
    await rig.put('control/heartbeat', 'two');
    await pull();
    expect(readFileSync(rig.folders.heartbeat, 'utf8')).toBe('two');
  });

  it('come from every rank', async () => {
    const ranks = [0, 1].map((rank) => ({ rank, groups: [], ended: rank === 0 }));
    await rig.put('wrapper.json', JSON.stringify({ startedAt: null, ranks }));
    await rig.put('ranks/1/control/heartbeat', 'one');
    await rig.put(`ranks/1/control/metrics.jsonl/${offset(0)}`, '{}\n');
    await pull();
    expect(readFileSync(rig.folders.rank(1).heartbeat, 'utf8')).toBe('one');
    expect(existsSync(join(rig.folders.rank(1).control, 'metrics.jsonl'))).toBe(true);
  });

  it('leave no process of this machine to be taken for the run wrapper', async () => {
    await rig.put('wrapper.json', JSON.stringify({ pid: process.pid, startedAt: null }));
    await pull();
    expect(existsSync(rig.folders.wrapper)).toBe(false);
  });
});

describe('checkpoints of a stage', () => {
  const ID = '00000001-state';
  const manifest = (sha256: string, path = 'data.bin'): string =>
    JSON.stringify({ name: 'state', files: [{ path, sha256 }] });

  it('arrive whole or not at all', async () => {
    await rig.put(`checkpoints/${ID}/data.bin`, 'data');
    await pull();
    expect(readdirSync(rig.folders.checkpoints)).toEqual([]);
    await rig.put(`checkpoints/${ID}/manifest.json`, manifest(sum('data')));
    await pull();
    expect(readdirSync(join(rig.folders.checkpoints, ID)).sort()).toEqual(['data.bin', 'manifest.json']);
    expect(readFileSync(join(rig.folders.checkpoints, ID, 'data.bin'), 'utf8')).toBe('data');
  });

  it.each([
    ['that are damaged', manifest(sum('other'))],
    ['with a path that leads out', manifest(sum('data'), '../../data.bin')],
    ['with a manifest that is none', '{'],
    ['of which a file is not there', manifest(sum('data'), 'other.bin')],
    [
      'that name a file twice',
      JSON.stringify({ name: 's', files: [1, 2].map(() => ({ path: 'data.bin', sha256: sum('data') })) }),
    ],
    ['with a name that no key can have', manifest(sum('data'), 'a\\b')],
  ])('%s are left alone, and keep nothing else from coming', async (_what, text) => {
    await rig.put(`checkpoints/${ID}/data.bin`, 'data');
    await rig.put(`checkpoints/${ID}/manifest.json`, text);
    await rig.put('checkpoints/00000002-good/data.bin', 'data');
    await rig.put('checkpoints/00000002-good/manifest.json', manifest(sum('data')));
    await pull();
    expect(readdirSync(rig.folders.checkpoints)).toEqual(['00000002-good']);
  });

  it('go here when the stage has removed them in favour of a newer one, and the last one never', async () => {
    const ids = [ID, '00000002-state'];
    for (const id of ids) {
      await rig.put(`checkpoints/${id}/data.bin`, 'data');
      await rig.put(`checkpoints/${id}/manifest.json`, manifest(sum('data')));
    }
    await pull();
    expect(readdirSync(rig.folders.checkpoints)).toEqual(ids);
    const remove = (id: string) => rig.bucket.delete(`${rig.prefix}checkpoints/${id}/manifest.json`);
    await remove(ids[0]!);
    await pull();
    expect(readdirSync(rig.folders.checkpoints)).toEqual([ids[1]]);
    await remove(ids[1]!);
    await pull();
    expect(readdirSync(rig.folders.checkpoints)).toEqual([ids[1]]);
  });

  it('stay here where nobody knows any more that they came from there', async () => {
    for (const id of ['00000001-earlier', '00000002-state']) mkdirSync(join(rig.folders.checkpoints, id));
    await rig.put('checkpoints/00000003-new/data.bin', 'data');
    await rig.put('checkpoints/00000003-new/manifest.json', manifest(sum('data')));
    await pull();
    expect(readdirSync(rig.folders.checkpoints)).toHaveLength(3);
  });
});
