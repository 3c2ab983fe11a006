import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nothingKnown, pullAttempt } from '../../../src/backends/gce/pull-attempt.ts';
import type { Pulled } from '../../../src/backends/gce/pull-result.ts';
import { type Room, roomOf } from '../../../src/backends/gce/room.ts';
import { appendLog, readLog } from '../../../src/backends/log-segments.ts';
import { createRentedRig, type RentedRig } from './rented-rig.ts';

let rig: RentedRig;
let known = nothingKnown();
beforeEach(() => {
  rig = createRentedRig();
  known = nothingKnown();
});
afterEach(() => rig.dispose());

const pull = (room: Room = () => undefined): Promise<Pulled> => {
  const { bucket, prefix, folders } = rig;
  return pullAttempt({ bucket, prefix, folders, known, room }, {});
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

const manifest = (sha256: string, path = 'data.bin'): string =>
  JSON.stringify({ name: 'state', files: [{ path, sha256 }] });

/** A checkpoint that a machine has sent whole. */
async function send(id: string, data = 'data'): Promise<void> {
  await rig.put(`checkpoints/${id}/data.bin`, data);
  await rig.put(`checkpoints/${id}/manifest.json`, manifest(sum(data)));
}

/** What a machine does with one that its stage has removed. */
async function takeBack(id: string): Promise<void> {
  await rig.put(`checkpoints/.removed-${id}`, '');
  for (const file of ['manifest.json', 'data.bin'])
    await rig.bucket.delete(`${rig.prefix}checkpoints/${id}/${file}`);
}

/** The keys of what is fetched from now on. */
function noteGets(): string[] {
  const keys: string[] = [];
  const { get } = rig.bucket;
  rig.bucket.get = (key, options) => {
    keys.push(key);
    return get(key, options);
  };
  return keys;
}

const checkpoints = (): string[] => readdirSync(rig.folders.checkpoints).sort();

describe('checkpoints of a stage', () => {
  const ID = '00000001-state';

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
});

describe('a checkpoint that its stage has removed', () => {
  it('goes from here when a newer one of its name is here, and is not looked for again', async () => {
    await send('00000001-state');
    await send('00000002-other');
    await pull();
    await takeBack('00000001-state');
    await send('00000003-state');
    await pull();
    expect(checkpoints()).toEqual(['00000002-other', '00000003-state']);
    await send('00000001-state');
    known = nothingKnown();
    const got = noteGets();
    await pull();
    expect(got.filter((key) => key.includes('00000001'))).toEqual([]);
    expect(checkpoints()).toEqual(['00000002-other', '00000003-state']);
  });

  it('stays as long as the newer one is not whole here, whatever its machine says', async () => {
    await send('00000001-state');
    await pull();
    await takeBack('00000001-state');
    await send('00000002-other');
    await pull();
    await rig.put('checkpoints/00000003-state/manifest.json', manifest(sum('data')));
    await pull();
    expect(checkpoints()).toEqual(['00000001-state', '00000002-other']);
  });

  it('stays where all of its name are said to be removed: the newest is left', async () => {
    await send('00000001-state');
    await send('00000002-state');
    await pull();
    await takeBack('00000001-state');
    await takeBack('00000002-state');
    await pull();
    expect(checkpoints()).toEqual(['00000001-state', '00000002-state']);
  });

  it('is one that was said to be: what is merely not in the bucket stays, as that of an earlier attempt', async () => {
    mkdirSync(join(rig.folders.checkpoints, '00000001-state'));
    await send('00000002-state');
    await pull();
    await rig.bucket.delete(`${rig.prefix}checkpoints/00000002-state/manifest.json`);
    await send('00000003-state');
    await pull();
    expect(checkpoints()).toEqual(['00000001-state', '00000002-state', '00000003-state']);
    await takeBack('00000001-state');
    await pull();
    expect(checkpoints()).toEqual(['00000002-state', '00000003-state']);
  });

  it('leaves nothing where a death came in between', async () => {
    mkdirSync(join(rig.folders.checkpoints, '.pulling-00000001-state'));
    await pull();
    expect(checkpoints()).toEqual([]);
  });

  it('takes no other object for the word of it', async () => {
    await send('00000001-state');
    await send('00000002-state');
    await pull();
    for (const key of ['.removed-../00000001-state', '.removed-00000001-state/x', '00000001-state/.removed-'])
      await rig.put(`checkpoints/${key}`, '').catch(() => undefined);
    await pull();
    expect(checkpoints()).toEqual(['00000001-state', '00000002-state']);
  });
});

describe('what has no room here', () => {
  const FULL = Number.MAX_SAFE_INTEGER;
  const output = { path: 'attempt/outputs/a.bin', kind: 'file', sha256: sum('output'), size: 6 };
  const end = async (change: object = {}): Promise<void> => {
    const outputs = [{ ...output, object: `${rig.prefix}outputs/a.bin`, ...change }];
    await rig.put('outputs/a.bin', 'output');
    await rig.put('exit.json', JSON.stringify({ error: null, outputs, problems: [] }));
  };
  const room = (minFreeBytes: number): Room => roomOf({ layout: rig.deps.layout, minFreeBytes });

  it('waits in the bucket, while the log and the signs of life come', async () => {
    await rig.put(`log/${offset(0)}.log/${offset(0)}`, line('one'));
    await rig.put('control/heartbeat', 'beat');
    await send('00000001-state');
    await end();
    const { isHere, waits } = await pull(room(FULL));
    expect(isHere).toBe(false);
    expect(waits).toMatch(
      /^waits for room on the disk: \d+ bytes are to be fetched, [\d.]+ [GT]B are free, of which storage\.keep\.min_free_gb holds back 8192 TB$/,
    );
    expect(await lines()).toEqual(['one']);
    expect(readFileSync(rig.folders.heartbeat, 'utf8')).toBe('beat');
    expect(checkpoints()).toEqual([]);
    expect(existsSync(rig.folders.result)).toBe(false);
    expect(await pull(room(0))).toEqual({ isHere: true, waits: undefined });
    expect(checkpoints()).toEqual(['00000001-state']);
    expect(readFileSync(join(rig.folders.outputs, 'a.bin'), 'utf8')).toBe('output');
  });

  it('is asked with the bytes that it takes: of a checkpoint all of it, of a folder twice its archive', async () => {
    const asked: number[] = [];
    const ask: Room = (bytes) => {
      asked.push(bytes);
      return undefined;
    };
    await send('00000001-state');
    await end();
    await rig.put(
      'exit.json',
      JSON.stringify({
        error: null,
        problems: [],
        outputs: [
          { ...output, object: `${rig.prefix}outputs/a.bin` },
          { ...output, kind: 'folder', path: 'attempt/outputs/tree', object: `${rig.prefix}outputs/a.bin` },
        ],
      }),
    );
    await pull(ask);
    expect(asked).toEqual([4 + manifest(sum('data')).length, 6, 12]);
  });

  it('is the newest checkpoint first', async () => {
    const asked: string[] = [];
    await send('00000001-state');
    await send('00000002-state', 'longer');
    await pull((bytes) => {
      asked.push(`${bytes}`);
      return 'full';
    });
    expect(asked).toEqual([`${6 + manifest(sum('longer')).length}`]);
  });

  it('does not come where it is larger than its machine said', async () => {
    await end({ size: 3 });
    const got = noteGets();
    expect(await pull()).toEqual({ isHere: true, waits: undefined });
    expect(got).toEqual([`${rig.prefix}exit.json`]);
    expect(JSON.parse(readFileSync(rig.folders.result, 'utf8'))).toMatchObject({
      error: 'a.bin is not what the machine sent.',
      failedStep: 'upload',
    });
  });

  it('is not kept from coming by what a death left of it', async () => {
    mkdirSync(join(rig.folders.dir, 'passing'));
    writeFileSync(join(rig.folders.dir, 'passing', 'output'), 'half');
    await end();
    await pull(() => {
      expect(existsSync(join(rig.folders.dir, 'passing'))).toBe(false);
      return undefined;
    });
    expect(readFileSync(join(rig.folders.outputs, 'a.bin'), 'utf8')).toBe('output');
  });
});
