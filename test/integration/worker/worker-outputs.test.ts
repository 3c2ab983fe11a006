import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { unpackFolder } from '../../../src/backends/gce/unpack-folder.ts';
import type { Fault } from '../../gcs-emulator/faults.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
openForEach((opened) => {
  rig = opened;
});

const out = (name: string) => `attempt/outputs/${name}`;

it('sends large outputs in pieces, through answers that are lost and connections that break', async () => {
  rig.boot();
  const [name, sums] = ['big.bin', join(rig.home, 'sums')];
  const script = `i=0; while [ $i -lt 20 ]; do head -c 1048576 /dev/urandom; i=$((i+1)); done > "$GOLDFISH_OUTPUTS/${name}"
    sha256sum < "$GOLDFISH_OUTPUTS/${name}" > '${sums}'`;
  await rig.fault(
    { on: 'uploads.start', do: { kind: 'lose-answer' } },
    { on: 'uploads.write', do: { kind: 'cut-request', after: 3_000_000 } },
    { on: 'uploads.write', do: { kind: 'status', status: 503 }, skip: 1 },
    { on: 'uploads.write', do: { kind: 'lose-answer' }, skip: 2 },
  );
  const job = await rig.assign(
    await processJob(rig, script, { outputs: [{ path: out(name), kind: 'file' }] }),
  );
  const { outputs } = await rig.result(job);
  const [sum] = (await readFile(sums, 'utf8')).split(' ');
  expect(outputs).toMatchObject([{ sha256: sum, size: 20 * 1048576 }]);
  expect((await rig.read(outputs[0]!.object))!.length).toBe(20 * 1048576);
});

/** Files that add up to more than two pieces of an upload, and what the archive of them is. */
const TREE = `cd "$GOLDFISH_OUTPUTS"; mkdir -p tree/sub; ln -s ../b tree/sub/link
  for name in a b sub/c; do head -c 7000000 /dev/urandom > tree/$name; done`;

it('packs a folder while it sends it: nothing of the archive is on its disk', async () => {
  rig.boot();
  const [go, sums] = [join(rig.home, 'go'), join(rig.home, 'sums')];
  await rig.fault({ on: 'uploads.write', do: { kind: 'status', status: 503 }, skip: 1, forMs: 600_000 });
  const script = `${TREE}; find tree -type f | sort | xargs sha256sum > '${sums}'; test ! -e '${go}'`;
  const job = await rig.assign(
    await processJob(rig, script, { outputs: [{ path: out('tree'), kind: 'folder' }] }),
  );
  await rig.told({ phase: 'sending' });
  await rig.moreRequests('tries to send the second piece');
  expect(await readdir(join(rig.job, 'passing'))).toEqual([]);
  await rig.noFaults();
  const { outputs } = await rig.result(job);
  const sent = (await rig.read(`${job.prefix}outputs/tree.tar`))!;
  expect(outputs).toEqual([
    {
      path: out('tree'),
      kind: 'folder',
      object: `${job.prefix}outputs/tree.tar`,
      sha256: createHash('sha256').update(sent).digest('hex'),
      size: sent.length,
    },
  ]);
  expect(await sumsOf(sent)).toBe(await readFile(sums, 'utf8'));
});

it.each([
  [
    'answers are lost and connections break',
    [
      { on: 'uploads.start', do: { kind: 'lose-answer' } },
      { on: 'uploads.write', do: { kind: 'cut-request', after: 3_000_000 } },
      { on: 'uploads.write', do: { kind: 'lose-answer' }, skip: 2 },
      { on: 'uploads.write', do: { kind: 'lose-answer' }, skip: 2 },
    ],
  ],
  [
    'the service forgets it in the middle',
    [{ on: 'uploads.write', do: { kind: 'status', status: 410 }, skip: 1 }],
  ],
  [
    'a byte of it is another one on the way',
    [{ on: 'uploads.write', do: { kind: 'corrupt-request' }, skip: 1 }],
  ],
] as [string, Fault[]][])('sends a folder whole, though %s', async (_what, faults) => {
  rig.boot();
  const sums = join(rig.home, 'sums');
  await rig.fault(...faults);
  const job = await rig.assign(
    await processJob(rig, `${TREE}; find tree -type f | sort | xargs sha256sum > '${sums}'`, {
      outputs: [{ path: out('tree'), kind: 'folder' }],
    }),
  );
  const { outputs } = await rig.result(job);
  const sent = (await rig.read(`${job.prefix}outputs/tree.tar`))!;
  expect(outputs).toMatchObject([
    { sha256: createHash('sha256').update(sent).digest('hex'), size: sent.length },
  ]);
  expect(await sumsOf(sent)).toBe(await readFile(sums, 'utf8'));
});

it('removes nothing of which the service does not say what it is', async () => {
  rig.boot();
  const job = await processJob(rig, TREE, { outputs: [{ path: out('tree'), kind: 'folder' }] });
  const name = `${job.prefix}outputs/tree.tar`;
  const before = (await rig.requests()).length;
  await rig.fault({ on: 'objects.get', name, do: { kind: 'status', status: 404 } });
  await rig.assign(job);
  expect(await rig.result(job)).toMatchObject({ failedStep: null, outputs: [{ object: name }] });
  expect((await rig.requests()).slice(before)).not.toContain('objects.delete');
});

/** Of the files of an archive, as `sha256sum` prints them. */
async function sumsOf(archive: Buffer): Promise<string> {
  const file = join(rig.home, 'archive.tar');
  await writeFile(file, archive);
  await unpackFolder(file, join(rig.home, 'tree'));
  return execFileSync('sh', ['-c', 'find tree -type f | sort | xargs sha256sum'], {
    cwd: rig.home,
    encoding: 'utf8',
  });
}

it('says so where outputs can never be sent, and claims none', async () => {
  rig.boot();
  const job = await processJob(rig, 'echo 1 > "$GOLDFISH_OUTPUTS/a"; echo 2 > "$GOLDFISH_OUTPUTS/b"', {
    outputs: [
      { path: out('a'), kind: 'file' },
      { path: out('b'), kind: 'file' },
    ],
  });
  await rig.fault({ name: `${job.prefix}outputs/b`, do: { kind: 'status', status: 403 }, times: 1000 });
  await rig.assign(job);
  expect(await rig.result(job)).toMatchObject({
    exitCode: 0,
    error: expect.stringMatching(/^attempt\/outputs\/b could not be sent: HTTP 403/),
    errno: null,
    failedStep: 'upload',
    outputs: [],
  });
  await rig.told({ phase: 'idle', job: 'ended' });
});
