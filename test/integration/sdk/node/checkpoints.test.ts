import fs, {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { goldfish, openStage, refuses, type Stage } from './stage.ts';

const { listCheckpoints, loadCheckpoint, saveCheckpoint, NdArray } = goldfish;

let stage: Stage;
beforeEach(() => {
  stage = openStage();
});
afterEach(() => {
  vi.restoreAllMocks();
  stage.dispose();
});

const folders = (): string[] => readdirSync(stage.checkpoints).sort();
const back = (value: unknown): unknown => {
  saveCheckpoint('state', value);
  return loadCheckpoint();
};

describe('a stage checkpoint', { timeout: 60_000 }, () => {
  it('is null where nothing was saved', () => {
    expect([loadCheckpoint(), listCheckpoints()]).toEqual([null, []]);
    rmSync(stage.checkpoints, { recursive: true });
    expect([loadCheckpoint(), listCheckpoints()]).toEqual([null, []]);
  });

  it('comes back as it was saved: data, bytes, arrays; an infinite best loss too', () => {
    const values: unknown[] = [
      { epoch: 3, w: [0.1, 2, 1e20, 2 ** 60], s: 'ü \ud83d', none: null, '2': 'key' },
      [1, [2, -0]],
      0.1,
      true,
      null,
      {},
      [],
      { best: Number.POSITIVE_INFINITY, loss: Number.NaN, low: Number.NEGATIVE_INFINITY },
      { seed: 2n ** 70n, low: -(2n ** 64n), text: '123456789012345678901' },
    ];
    for (const value of values) expect(back(value)).toEqual(value);
    expect(back(Buffer.from([0, 255]))).toEqual(Buffer.from([0, 255]));
    expect(back(Uint8Array.of(1, 2))).toEqual(Buffer.from([1, 2]));
    expect(back(new ArrayBuffer(0))).toEqual(Buffer.alloc(0));
    expect(back(Float32Array.of(1, 2))).toEqual(new NdArray(Float32Array.of(1, 2)));
    const matrix = NdArray.from([
      [1, 2],
      [3, 4],
    ]);
    expect(back({ matrix, bias: BigInt64Array.of(1n) })).toEqual({
      matrix,
      bias: new NdArray(BigInt64Array.of(1n)),
    });
  });

  it('of a file or folder is the path of a copy', () => {
    const source = join(stage.root, 'model ü.bin');
    writeFileSync(source, 'weights');
    saveCheckpoint('model', source);
    writeFileSync(source, 'later');
    const path = loadCheckpoint<string>() ?? '';
    expect([basename(path), readFileSync(path, 'utf8')]).toEqual(['model ü.bin', 'weights']);
    const folder = join(stage.root, 'state');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    writeFileSync(join(folder, 'sub', 'a'), 'a');
    writeFileSync(join(folder, 'manifest.json'), 'mine');
    symlinkSync('a', join(folder, 'sub', 'link'));
    symlinkSync('sub', join(folder, 'folder link'));
    saveCheckpoint('model', pathToFileURL(folder));
    rmSync(folder, { recursive: true });
    expect(readFileSync(join(loadCheckpoint<string>() ?? '', 'folder link', 'link'), 'utf8')).toBe('a');
    writeFileSync(join(stage.root, 'manifest.json'), 'mine');
    saveCheckpoint('model', join(stage.root, 'manifest.json'));
    expect(readFileSync(loadCheckpoint<string>() ?? '', 'utf8')).toBe('mine');
  });

  it('that would come back as something else is refused, and the ones before stay', () => {
    saveCheckpoint('state', { epoch: 1 });
    const wrong: [unknown, string][] = [
      [() => 1, '$ is a function, which JSON does not have.'],
      [
        { at: new Date(0) },
        '$.at is a Date, which JSON does not have; save a plain object, such as { ...value }.',
      ],
      [
        { w: Float32Array.of(1), epoch: 1 },
        '$.w is a Float32Array inside other data: save a list of it, an object…',
      ],
      [
        { w: [NdArray.from([1])] },
        '$.w[0] is a NdArray inside other data: save a list of it, an object of arrays…',
      ],
      [{ n: 5n }, '$.n is a BigInt that would come back as a number; save Number(…).'],
      [[undefined], '$[0] is undefined, which JSON does not have.'],
      [
        'no-such-file.bin',
        'there is no file or folder "no-such-file.bin"; to save text, put it into an object.',
      ],
      [pathToFileURL('/no/such'), 'there is no file or folder "/no/such".'],
    ];
    for (const [value, message] of wrong) {
      refuses(() => saveCheckpoint('state', value), `Checkpoint state: ${message}`);
    }
    for (const name of ['', '../x', 'a/b', '.a', 'x'.repeat(65), 'a b', 'a\n']) {
      refuses(
        () => saveCheckpoint(name, {}),
        'A checkpoint\'s name is 1 to 64 letters, digits, ".", "-" or…',
      );
    }
    refuses(() => saveCheckpoint('a', {}, { keep: 0 }), 'keep must be a whole number of at least 1, not 0.');
    refuses(() => saveCheckpoint('a', {}, Number.NaN), 'The step must be a finite number, not NaN.');
    refuses(
      // @ts-expect-error: a misspelt option
      () => saveCheckpoint('a', {}, { kep: 1 }),
      'saveCheckpoint has no option "kep": did you mean "keep"? Known: keep, step',
    );
    expect([loadCheckpoint(), folders()]).toEqual([{ epoch: 1 }, ['00000001-state']]);
  });

  it('is the one saved last, over all attempts, whatever its step or name', () => {
    for (let step = 0; step < 12; step += 1) saveCheckpoint('state', { step }, step);
    stage = stage.next();
    expect(loadCheckpoint()).toEqual({ step: 11 });
    saveCheckpoint('best', { step: 3 }, { step: 3 });
    expect(loadCheckpoint()).toEqual({ step: 3 });
    expect(loadCheckpoint({ name: 'state' })).toEqual({ step: 11 });
    expect(loadCheckpoint({ name: 'other' })).toBeNull();
    expect(
      listCheckpoints()
        .slice(-2)
        .map(({ name, step, attempt }) => [name, step, attempt]),
    ).toEqual([
      ['state', 11, 1],
      ['best', 3, 2],
    ]);
  });

  it('stays beside older ones; keep removes those of its name beyond that many', () => {
    saveCheckpoint('best', { n: 0 });
    for (let n = 0; n < 5; n += 1) saveCheckpoint('state', { n }, { keep: 2 });
    expect(folders()).toEqual(['00000001-best', '00000005-state', '00000006-state']);
  });

  it('that is damaged is named on stderr, and the one before it is taken', () => {
    for (let n = 0; n < 4; n += 1) saveCheckpoint('state', { n });
    const said: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((line) => said.push(String(line)) > 0);
    writeFileSync(join(stage.checkpoints, '00000004-state', 'data.json'), '{"n": 9}\n');
    expect(loadCheckpoint()).toEqual({ n: 2 });
    expect(said).toEqual([
      'goldfish: checkpoint 00000004-state is damaged (data.json has changed); trying the one before it\n',
    ]);
    rmSync(join(stage.checkpoints, '00000003-state', 'data.json'));
    writeFileSync(join(stage.checkpoints, '00000002-state', 'manifest.json'), '{');
    expect(loadCheckpoint()).toEqual({ n: 0 });
    expect(said.slice(2)).toEqual([
      'goldfish: checkpoint 00000003-state is damaged (data.json is missing); trying the one before it\n',
      'goldfish: checkpoint 00000002-state is damaged (no readable manifest); trying the one before it\n',
    ]);
    writeFileSync(join(stage.checkpoints, '00000001-state', 'manifest.json'), '{"files": [3], "data": "x"}');
    expect(loadCheckpoint()).toBeNull();
    saveCheckpoint('state', { n: 5 });
    expect(loadCheckpoint()).toEqual({ n: 5 });
  });

  it('of another run is there only where the call asked for it', () => {
    saveCheckpoint('state', { from: 'this' });
    refuses(
      () => loadCheckpoint('stage-aaaaaaaaaaaa'),
      'This run was not given the checkpoints of "stage-aaaaaaaaaaaa": there are none.',
    );
    const other = join(stage.checkpoints, 'from', 'stage-aaaaaaaaaaaa');
    mkdirSync(join(other, '..'), { recursive: true });
    fs.cpSync(join(stage.checkpoints, '00000001-state'), join(other, '00000001-state'), { recursive: true });
    saveCheckpoint('state', { from: 'this, later' });
    expect(loadCheckpoint('stage-aaaaaaaaaaaa')).toEqual({ from: 'this' });
    expect(loadCheckpoint({ runId: 'stage-0123456789ab' })).toEqual({ from: 'this, later' });
    expect(listCheckpoints('stage-aaaaaaaaaaaa')).toHaveLength(1);
    refuses(
      () => loadCheckpoint('stage-aaaaaaaaaaab'),
      'This run was not given the checkpoints of "stage-aaaaaaaaaaab": did you mean "stage-aaaaaaaaaaaa"? Known:…',
    );
    refuses(
      () => loadCheckpoint('..'),
      'This run was not given the checkpoints of "..": Known: stage-aaaaaaaaaaaa.',
    );
  });

  it('is durable before the call returns: every file, then the folders, then its name', () => {
    const source = join(stage.root, 'model');
    mkdirSync(join(source, 'sub'), { recursive: true });
    writeFileSync(join(source, 'sub', 'weights'), 'w');
    const done: string[] = [];
    const shown = (path: string): string =>
      relative(stage.checkpoints, path).replace(/\.saving-1-[0-9a-f]{32}/, 'saving');
    const { fsyncSync, renameSync } = fs;
    vi.spyOn(fs, 'fsyncSync').mockImplementation((descriptor) => {
      done.push(`sync ${shown(readlinkSync(`/proc/self/fd/${descriptor}`))}`);
      fsyncSync(descriptor);
    });
    vi.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
      done.push(`rename ${shown(String(from))} ${shown(String(to))}`);
      renameSync(from, to);
    });
    saveCheckpoint('state', source);
    expect(done.slice(0, -2).sort()).toEqual(
      ['sync saving', 'sync saving/manifest.json', 'sync saving/model'].concat(
        ['sync saving/model/sub', 'sync saving/model/sub/weights'].sort(),
      ),
    );
    expect(done.indexOf('sync saving/model/sub/weights')).toBeLessThan(done.indexOf('sync saving/model/sub'));
    expect(done.slice(-3)).toEqual(['sync saving', 'rename saving 00000001-state', 'sync ']);
  });

  it('survives a kill at any moment whole or not at all, and what was left unfinished goes', async () => {
    const child = stage.start(`
import { saveCheckpoint } from 'goldfish';
for (let n = 1; ; n += 1) saveCheckpoint('state', { n, filling: 'x'.repeat(n % 5000) }, { step: n, keep: 3 });`);
    try {
      await vi.waitUntil(() => folders().some((name) => name > '00000005'), { timeout: 20_000, interval: 5 });
    } finally {
      await child.stop();
    }
    const newest = loadCheckpoint<{ n: number; filling: string }>();
    expect(newest?.filling).toHaveLength((newest?.n ?? 0) % 5000);
    mkdirSync(join(stage.checkpoints, `.saving-1-${'a'.repeat(32)}`));
    stage = stage.next();
    expect(loadCheckpoint()).toEqual(newest);
    saveCheckpoint('state', { n: 0 });
    expect(folders().filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('gets a number of its own where several processes and threads save at once', async () => {
    const program = `
import { Worker, isMainThread } from 'node:worker_threads';
import { saveCheckpoint } from 'goldfish';
if (isMainThread) new Worker(new URL(import.meta.url));
for (let n = 0; n < 15; n += 1) saveCheckpoint('state', { n });`;
    await Promise.all([stage.node(program), stage.node(program)]);
    expect(folders()).toHaveLength(60);
    expect(loadCheckpoint()).toEqual({ n: 14 });
  });

  it('that cannot be saved says why in one line and leaves nothing behind', () => {
    vi.spyOn(fs, 'fsyncSync').mockImplementation(() => {
      throw Object.assign(new Error('ENOSPC: no space left on device, fsync'), {
        syscall: 'fsync',
        code: 'ENOSPC',
      });
    });
    refuses(
      () => saveCheckpoint('state', { n: 1 }),
      'Checkpoint state cannot be saved: no space left on device.',
    );
    expect(folders()).toEqual([]);
    vi.restoreAllMocks();
    appendFileSync(join(stage.checkpoints, '00000007-state'), 'a file in the way');
    saveCheckpoint('state', { n: 1 });
    expect(existsSync(join(stage.checkpoints, '00000008-state'))).toBe(true);
  });
});
