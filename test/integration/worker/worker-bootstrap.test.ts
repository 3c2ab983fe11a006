import { createHash } from 'node:crypto';
import { existsSync, lstatSync } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { expect, it } from 'vitest';
import { bootstrapScript, workerProgram } from '../../../src/backends/gce/worker-program.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { archive, type Entry, processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
let script: string;
openForEach(async (opened) => {
  rig = opened;
  // As the metadata hand it over: alone.
  script = join(rig.home, 'startup-script');
  await writeFile(script, await bootstrapScript());
});

const MARKER = `import sys; print("became the program"); sys.stdout.flush()`;
const hash = (data: Buffer) => createHash('sha256').update(data).digest('hex');

async function withProgram(data: Buffer, change: object = {}): Promise<{ folder: string }> {
  const stored = { object: 'programs/p.tar', sha256: hash(data), size: data.length, ...change };
  await rig.put(stored.object, data);
  rig.setAttribute('goldfish-worker', JSON.stringify(rig.settings({ program: stored })));
  return { folder: join(rig.root, 'program', stored.sha256) };
}

const program = (entries: Entry[] = []) =>
  archive([...entries, { name: 'runtime/worker/worker_main.py', text: MARKER }]);

it('is the same archive whenever it is made, of everything that a machine needs and nothing else', async () => {
  const made = await workerProgram();
  expect(await workerProgram()).toBe(made);
  expect(made).toMatchObject({ size: made.archive.length, sha256: hash(made.archive) });
  const names: string[] = [];
  const reader = extract();
  reader.end(made.archive);
  for await (const entry of reader) {
    names.push(entry.header.name);
    expect(entry.header).toMatchObject({ type: 'file', uid: 0, gid: 0, mode: 0o644, mtime: new Date(0) });
    await text(entry);
  }
  expect(names).toEqual([...names].sort());
  for (const needed of [
    'runtime/run_wrapper.py',
    'runtime/container_init.py',
    'runtime/worker/worker_main.py',
  ])
    expect(names).toContain(needed);
  for (const needed of ['sdk/python/goldfish/__init__.py', 'sdk/node/package.json', 'sdk/node/lib/run.js'])
    expect(names).toContain(needed);
  expect(names.filter((name) => /pycache|\.pyc$|test|README/.test(name))).toEqual([]);
  const shipped = (await readdir(assetPath('runtime/worker'))).filter((name) => name.endsWith('.py'));
  expect(names.filter((name) => name.startsWith('runtime/worker/'))).toHaveLength(shipped.length);
});

it('becomes the worker program of the archive, which works from there', async () => {
  const { archive: data } = await workerProgram();
  const { folder } = await withProgram(data);
  rig.start(script);
  await rig.told({ phase: 'idle' });
  expect(await readdir(join(rig.root, 'program'))).toEqual([folder.split('/').at(-1)]);
  // Containers read it as another user.
  expect((await stat(join(folder, 'runtime'))).mode & 0o777).toBe(0o755);
  expect((await stat(join(folder, 'sdk/python/goldfish/run.py'))).mode & 0o777).toBe(0o444);
  const job = await rig.assign(await processJob(rig, 'echo works'));
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
});

it('takes the folder of an archive that is there for whole, and what was cut short for nothing', async () => {
  const { folder } = await withProgram(await program());
  await mkdir(`${folder}.unfinished/runtime`, { recursive: true });
  rig.start(script);
  await rig.until(() => rig.isOff, 'its end');
  expect(rig.console).toContain('became the program');
  expect(existsSync(`${folder}.unfinished`)).toBe(false);
  const fetched = () => rig.console.split('fetches the worker program').length - 1;
  rig.start(script);
  await rig.until(() => rig.isOff, 'its end');
  expect([fetched(), rig.console.split('became the program').length - 1]).toEqual([1, 2]);
});

it('asks again where an answer was damaged, cut or refused', async () => {
  await rig.fault(
    { on: 'objects.read', do: { kind: 'status', status: 503 } },
    { on: 'objects.read', do: { kind: 'cut-answer', after: 100 } },
    { on: 'objects.read', do: { kind: 'corrupt-answer' } },
  );
  await withProgram(await program());
  rig.start(script);
  await rig.until(() => rig.isOff, 'its end');
  expect(rig.console.match(/not yet/g)).toHaveLength(3);
  expect(rig.console).toContain('became the program');
});

const escapes: Record<string, Entry[]> = {
  'an absolute path': [{ name: '/tmp/goldfish-escaped', text: 'x' }],
  'a path upward': [{ name: '../escaped', text: 'x' }],
  'a path upward in the middle': [{ name: 'a/../../escaped', text: 'x' }],
  'a link that leads out': [{ name: 'out', type: 'symlink', linkname: '../../..' }],
  'an absolute link': [{ name: 'out', type: 'symlink', linkname: '/etc' }],
  'a path through a link': [
    { name: 'a', type: 'symlink', linkname: 'b' },
    { name: 'a/x', text: 'x' },
  ],
  'a link through a link that leads out': [
    { name: 'd/up', type: 'symlink', linkname: '..' },
    { name: 'out', type: 'symlink', linkname: 'd/up/../../..' },
  ],
  'a link below a link': [
    { name: 'a', type: 'symlink', linkname: '/tmp' },
    { name: 'a/goldfish-escaped', type: 'symlink', linkname: 'x' },
  ],
  'a hard link': [{ name: 'hard', type: 'link', linkname: '/etc/passwd' }],
  'a device': [{ name: 'device', type: 'character-device', devmajor: 1, devminor: 3 }],
  'a pipe': [{ name: 'pipe', type: 'fifo' }],
  'one name twice': [
    { name: 'x', text: '1' },
    { name: 'x', text: '2' },
  ],
};

it('refuses an archive that leads out of its folder in any way, and ends its machine', async () => {
  for (const [what, entries] of Object.entries(escapes)) {
    const { folder } = await withProgram(await program(entries));
    rig.console = '';
    rig.start(script, { GOLDFISH_WORKER_PATIENCE: '0' });
    await rig.until(() => rig.computeCalls.length > 0, `a deletion because of ${what}`);
    await rig.cutPower();
    expect([what, rig.console]).toEqual([what, expect.stringContaining('not yet: Unusable')]);
    expect(rig.console).not.toContain('became the program');
    expect([what, existsSync(folder)]).toEqual([what, false]);
    expect(rig.computeCalls.splice(0)[0]!.asked).toMatch(new RegExp(`^DELETE .*/instances/${rig.worker}$`));
  }
  // Not even a link that leads nowhere.
  expect(lstatSync('/tmp/goldfish-escaped', { throwIfNoEntry: false })).toBeUndefined();
  expect(existsSync(join(rig.root, 'escaped')) || existsSync(join(rig.root, 'program', 'escaped'))).toBe(
    false,
  );
});

it('refuses an archive that is another one than it should be', async () => {
  await withProgram(await program(), { sha256: '1'.repeat(64) });
  rig.start(script, { GOLDFISH_WORKER_PATIENCE: '0' });
  await rig.until(() => rig.computeCalls.length > 0, 'a deletion');
  expect(rig.console).toContain('the archive is not what it should be');
  expect(rig.console).not.toContain('became the program');
});

it('hands its token to nobody who is asked in the clear, nor does the worker program', async () => {
  const seen: (string | undefined)[] = [];
  const data = await archive([{ name: 'runtime/worker/worker_main.py', text: MARKER }]);
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end(data);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const storageEndpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stored = { object: 'p', sha256: hash(data), size: data.length };
  rig.setAttribute('goldfish-worker', JSON.stringify(rig.settings({ program: stored, storageEndpoint })));
  rig.start(script);
  await rig.until(() => rig.isOff, 'its end');
  expect(rig.console).toContain('became the program');
  rig.boot();
  await rig.until(() => seen.length >= 4, 'letters and looks of the worker program');
  expect(seen.filter((authorization) => authorization !== undefined)).toEqual([]);
  server.closeAllConnections();
  server.close();
});
