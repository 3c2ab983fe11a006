import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';
import type { EmulatorProcess } from '../../support/gcs-emulator-process.ts';
import { PYTHON } from '../../support/run-wrapper.ts';
import { processJob } from './worker-jobs.ts';
import { Rig, startBucket } from './worker-rig.ts';

let bucket: EmulatorProcess;
let rig: Rig;
beforeAll(async () => {
  bucket = await startBucket();
});
beforeEach(async () => {
  rig = await new Rig(bucket).open();
});
afterEach(() => rig.close());
afterAll(() => bucket.stop());

const SUM = '3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7'; // of `data`
const MANIFEST = `{"name": "s", "files": [{"path": "data.bin", "sha256": "${SUM}"}]}`;
/** Long after the end of a test: what is sent earlier is sent for another reason. */
const NO_SYNC = { syncSeconds: 3_000 };

const saves: [string, string][] = [
  [
    'Python',
    `PYTHONPATH='${assetPath('sdk/python')}' '${PYTHON}' -B -c 'import goldfish; goldfish.save_checkpoint("state", {"n": 1})'`,
  ],
  [
    'Node',
    `'${process.execPath}' -e 'require("${assetPath('sdk/node')}").saveCheckpoint("state", { n: 1 })'`,
  ],
];

it.each(saves)(
  'has a checkpoint in the bucket before the library of %s says that it is saved',
  async (_name, save) => {
    rig.boot();
    const [saved, go] = [join(rig.home, 'saved'), join(rig.home, 'go')];
    const script = `export GOLDFISH_KEPT=wait; ${save}; echo > '${saved}'; while [ ! -e '${go}' ]; do sleep 0.05; done`;
    const job = await processJob(rig, script, NO_SYNC);
    const [manifest, data] = ['manifest.json', 'data.json'].map(
      (name) => `${job.prefix}checkpoints/00000001-state/${name}`,
    ) as [string, string];
    await rig.fault({ name: manifest, do: { kind: 'status', status: 503 }, times: 1_000 });
    await rig.assign(job);
    const mark = join(rig.job, 'checkpoints/.kept-00000001-state');
    await rig.until(async () => (await rig.read(data)) !== undefined, 'the first part of it in the bucket');
    const before = await rig.requests();
    await rig.until(async () => (await rig.requests()) >= before + 4, 'some more requests');
    expect([existsSync(saved), existsSync(mark)]).toEqual([false, false]);
    await rig.noFaults();
    await rig.until(() => existsSync(saved), 'the checkpoint is saved');
    expect(await rig.json(manifest)).toMatchObject({ name: 'state', files: [{ path: 'data.json' }] });
    expect(existsSync(mark)).toBe(true);
    await writeFile(go, '');
    expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  },
);

it('takes from the bucket what the stage has removed in favour of a newer one', async () => {
  rig.boot();
  const save = (n: number): string => `goldfish.save_checkpoint("state", {"n": ${n}}, keep=1)`;
  const code = `import goldfish; ${[1, 2, 3].map(save).join('; ')}`;
  const script = `export GOLDFISH_KEPT=wait PYTHONPATH='${assetPath('sdk/python')}'; '${PYTHON}' -B -c '${code}'`;
  const job = await rig.assign(await processJob(rig, script, NO_SYNC));
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  const under = `${job.prefix}checkpoints/`;
  expect((await rig.list(under)).map((key) => key.slice(under.length))).toEqual([
    '00000003-state/data.json',
    '00000003-state/manifest.json',
  ]);
});

it('sends a checkpoint when it is whole, its manifest last, and follows no link of a stage', async () => {
  rig.boot();
  const go = join(rig.home, 'go');
  const secret = join(rig.home, 'private');
  await writeFile(secret, 'private');
  const script = `
    cd "$GOLDFISH_CHECKPOINTS"; mkdir .saving-1-x; printf data > .saving-1-x/data.bin
    echo '${MANIFEST}' > .saving-1-x/manifest.json; ln -s '${secret}' .kept-00000002-s
    cp -r .saving-1-x .bad; printf other > .bad/data.bin; mv .bad 00000003-bad
    cp -r .saving-1-x .link; ln -sf '${secret}' .link/data.bin; mv .link 00000004-link
    cp -r .saving-1-x .whole; mv .whole 00000002-s
    ln -s '${secret}' "$GOLDFISH_CONTROL/heartbeat"
    ln -s '${secret}' "$GOLDFISH_CONTROL/metrics.jsonl"
    while [ ! -e '${go}' ]; do sleep 0.05; done`;
  const job = await rig.assign(await processJob(rig, script));
  const manifest = `${job.prefix}checkpoints/00000002-s/manifest.json`;
  await rig.until(async () => (await rig.read(manifest)) !== undefined, 'a checkpoint in the bucket');
  expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
  await writeFile(go, '');
  await rig.result(job);
  expect(await rig.list(`${job.prefix}checkpoints/`)).toEqual([
    `${job.prefix}checkpoints/00000002-s/data.bin`,
    manifest,
  ]);
  expect(await rig.list(`${job.prefix}control/`)).toEqual([]);
  expect(await readFile(secret, 'utf8')).toBe('private');
});

it('looks again at a checkpoint that was not whole, and survives what no reader of JSON does', async () => {
  rig.boot();
  const [more, go] = [join(rig.home, 'more'), join(rig.home, 'go')];
  const script = `
    cd "$GOLDFISH_CHECKPOINTS"; mkdir 00000001-s 00000002-deep
    head -c 1000000 /dev/zero | tr '\\0' '[' > 00000002-deep/manifest.json
    while [ ! -e '${more}' ]; do sleep 0.05; done
    printf data > 00000001-s/data.bin; echo '${MANIFEST}' > 00000001-s/.new; mv 00000001-s/.new 00000001-s/manifest.json
    while [ ! -e '${go}' ]; do sleep 0.05; done`;
  const job = await rig.assign(await processJob(rig, script, NO_SYNC));
  await rig.until(
    () =>
      ['00000001-s', '00000002-deep'].every((name) =>
        rig.console.includes(`checkpoint ${name} has no manifest`),
      ),
    'that it has seen both',
  );
  await writeFile(more, '');
  const manifest = `${job.prefix}checkpoints/00000001-s/manifest.json`;
  await rig.until(async () => (await rig.read(manifest)) !== undefined, 'the checkpoint in the bucket');
  await writeFile(go, '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0, lost: false });
});
