import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { age, goldfish, inner, LIBRARY, LONG_AGO, openStage, refuses, type Stage } from './stage.ts';

const liveness = inner<{ start(intervalMs?: number): void }>('liveness.js');
const WAITING = { timeout: 20_000, interval: 10 };

let stage: Stage;
beforeEach(() => {
  stage = openStage();
});
afterEach(() => stage.dispose());

const beat = (): string => join(stage.control, 'heartbeat');
const touched = (): boolean => existsSync(beat()) && statSync(beat()).mtimeMs > LONG_AGO.getTime() + 1000;
/** A program that gives signs of life more often than the library does on its own. */
const beating = (then: string, library = LIBRARY): string => `
import { createRequire } from 'node:module';
const { start } = createRequire(import.meta.url)(${JSON.stringify(join(library, 'lib/liveness.js'))});
start(20);
${then}`;
/** Its rest: it ends when somebody else than itself touched the heartbeat. */
const UNTIL_TOUCHED = `
import fs from 'node:fs';
const beat = process.env.GOLDFISH_CONTROL + '/heartbeat';
fs.utimesSync(beat, 1e9, 1e9);
const end = performance.now() + 10_000;
const look = setInterval(() => {
  const touched = fs.statSync(beat).mtimeMs > 1.1e12;
  if (!touched && performance.now() < end) return;
  clearInterval(look);
  console.log(touched ? 'touched' : 'not touched');
}, 5);`;

describe('signs of life of a Node stage', { timeout: 60_000 }, () => {
  it('are given by heartbeat, which keeps a short message for whoever looks', () => {
    goldfish.heartbeat();
    expect([touched(), readFileSync(beat(), 'utf8')]).toEqual([true, '']);
    age(beat());
    goldfish.heartbeat('loading\nshard 3 ');
    expect([touched(), readFileSync(beat(), 'utf8')]).toEqual([true, 'loading shard 3\n']);
    goldfish.heartbeat();
    expect(readFileSync(beat(), 'utf8')).toBe('loading shard 3\n');
    process.env['GOLDFISH_CONTROL'] = join(stage.root, 'gone');
    refuses(() => goldfish.heartbeat(), 'The heartbeat cannot be written: no such file or directory.');
  });

  it('are given by logMetric, at most once a second', async () => {
    await stage.node(`
import fs from 'node:fs';
import { logMetric } from 'goldfish';
const beat = process.env.GOLDFISH_CONTROL + '/heartbeat';
const seen = () => fs.statSync(beat).mtimeMs > 1.1e12;
const touch = () => {
  const end = performance.now() + 10_000;
  for (;;) {
    const before = performance.now();
    logMetric('a', 1);
    if (seen()) return before;
    if (before > end) throw new Error('never touched');
  }
};
fs.utimesSync(beat, 1e9, 1e9);
const first = touch();
fs.utimesSync(beat, 1e9, 1e9);
logMetric('a', 1);
const early = seen() && performance.now() - first < 1000;
if (early) throw new Error('touched twice within a second');
touch();`);
  });

  it('go on while a program computes without ever giving its thread back', async () => {
    const child = stage.start(beating('for (;;);'));
    try {
      for (let round = 0; round < 3; round += 1) {
        await vi.waitUntil(touched, WAITING);
        age(beat());
      }
      rmSync(beat());
      await vi.waitUntil(touched, WAITING);
    } finally {
      await child.stop();
    }
  });

  it('come at least every minute, from the import on, also from the shortest stage', async () => {
    expect(/INTERVAL_MS = ([\d_]+);/.exec(readFileSync(join(LIBRARY, 'lib/liveness.js'), 'utf8'))?.[1]).toBe(
      '20_000',
    );
    await stage.node("import 'goldfish';");
    expect(touched()).toBe(true);
    rmSync(beat());
    await stage.node("import 'goldfish'; process.exit(0)");
    expect(touched()).toBe(true);
  });

  it('do not hold a finished program, nor change its exit code, nor say anything', async () => {
    expect(await stage.node(beating("console.log('done')"))).toEqual({ stdout: 'done\n', stderr: '' });
    await expect(stage.node(beating('process.exitCode = 3'))).rejects.toMatchObject({ code: 3 });
    await expect(stage.node(beating("throw new Error('mine')"))).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Error: mine'),
    });
  });

  it('come from one thread of the process, however many of its threads import the library', async () => {
    const { stdout } = await stage.node(`
import { readdirSync } from 'node:fs';
import { Worker, isMainThread } from 'node:worker_threads';
const threads = () => readdirSync('/proc/self/task').length;
if (isMainThread) {
  await import('goldfish');
  const before = threads();
  const worker = new Worker(new URL(import.meta.url));
  const [inside] = await new Promise((resolve) => worker.once('message', (text) => resolve([text])));
  console.log(inside - before);
  await worker.terminate();
} else {
  const { parentPort } = await import('node:worker_threads');
  await import('goldfish');
  parentPort.postMessage(threads());
}`);
    expect(stdout).toBe('1\n');
  });

  it('take nothing of the program’s own settings with them', async () => {
    const preload = join(stage.root, 'preload.cjs');
    const loaded = join(stage.root, 'loaded');
    writeFileSync(preload, `require('node:fs').appendFileSync(${JSON.stringify(loaded)}, 'x');`);
    const options = {
      args: ['--require', preload],
      environment: { NODE_OPTIONS: `--require "${preload}" --require "${preload}"` },
    };
    await stage.node(beating(UNTIL_TOUCHED), options);
    // Once, by the program itself: Node loads a module once, however often it is named.
    expect(readFileSync(loaded, 'utf8')).toBe('x');
  });

  it('come from a timer where the thread cannot run: in a bundle without it, or where threads are forbidden', async () => {
    const bundle = join(stage.root, 'bundle');
    cpSync(LIBRARY, bundle, { recursive: true });
    rmSync(join(bundle, 'lib/heartbeat-worker.js'));
    expect(await stage.node(beating(UNTIL_TOUCHED, bundle))).toEqual({ stdout: 'touched\n', stderr: '' });
    const args = ['--permission', '--allow-fs-read=*', '--allow-fs-write=*'];
    expect((await stage.node(beating(UNTIL_TOUCHED), { args })).stdout).toBe('touched\n');
  });

  it('are not given outside of a run', async () => {
    const outside = { GOLDFISH_CONTROL: '' };
    const count = "import fs from 'node:fs'; console.log(fs.readdirSync('/proc/self/task').length)";
    const [without, beside] = await Promise.all([
      stage.node(count, { environment: outside }),
      stage.node(`import 'goldfish'; ${count}`, { environment: outside }),
    ]);
    expect(beside.stdout).toBe(without.stdout);
    process.env['GOLDFISH_CONTROL'] = '';
    liveness.start();
    expect(existsSync(beat())).toBe(false);
  });
});

describe('shouldStop', () => {
  it('is true once the stop file is there, and says at its first call that the program listens', () => {
    expect(existsSync(join(stage.control, 'listens'))).toBe(false);
    expect(goldfish.shouldStop()).toBe(false);
    expect(existsSync(join(stage.control, 'listens'))).toBe(true);
    writeFileSync(join(stage.control, 'stop'), 'cancel\n');
    expect(goldfish.shouldStop()).toBe(true);
  });

  it('works on where it cannot say that it listens', () => {
    process.env['GOLDFISH_CONTROL'] = join(stage.root, 'gone');
    expect(goldfish.shouldStop()).toBe(false);
  });
});
