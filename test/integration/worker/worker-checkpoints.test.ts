import { existsSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';
import { PYTHON } from '../../support/run-wrapper.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
openForEach((opened) => {
  rig = opened;
});

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
    await rig.moreRequests('some more requests');
    expect([existsSync(saved), existsSync(mark)]).toEqual([false, false]);
    await rig.noFaults();
    await rig.until(() => existsSync(saved), 'the checkpoint is saved');
    expect(await rig.json(manifest)).toMatchObject({ name: 'state', files: [{ path: 'data.json' }] });
    expect(existsSync(mark)).toBe(true);
    await writeFile(go, '');
    expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  },
);

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

/** Saves as the library of Python does, and waits for the files of the test in between. */
const saving = (...steps: string[]): string =>
  `export GOLDFISH_KEPT=wait; PYTHONPATH='${assetPath('sdk/python')}' '${PYTHON}' -B -c 'import goldfish, os, shutil, time
def wait(name):
    while not os.path.exists(os.path.join("${rig.home}", name)): time.sleep(0.05)
def save(name, n, keep=None): goldfish.save_checkpoint(name, {"n": n}, keep=keep)
root = os.environ["GOLDFISH_CHECKPOINTS"]
${steps.join('\n')}'`;
const keysOf = async (prefix: string): Promise<string[]> =>
  (await rig.list(`${prefix}checkpoints/`)).map((key) => key.slice(`${prefix}checkpoints/`.length)).sort();

it('takes out of the bucket what the stage has removed for a newer one, and says so there', async () => {
  rig.boot();
  const steps = ['save("other", 1)', ...[1, 2, 3].map((n) => `save("state", ${n}, 1)`), 'wait("go")'];
  const job = await rig.assign(await processJob(rig, saving(...steps), NO_SYNC));
  const expected = [
    '.removed-00000002-state',
    '.removed-00000003-state',
    ...['00000001-other', '00000004-state'].flatMap((id) => [`${id}/data.json`, `${id}/manifest.json`]),
  ];
  await rig.until(async () => `${await keysOf(job.prefix)}` === `${expected}`, 'the removals in the bucket');
  await writeFile(join(rig.home, 'go'), '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  expect(await keysOf(job.prefix)).toEqual(expected);
});

it('leaves an older checkpoint in the bucket until the manifest of the newer one is there', async () => {
  rig.boot();
  // A stage that does not wait for its machine.
  const steps = [
    'save("state", 1)',
    'wait("go")',
    'os.environ["GOLDFISH_KEPT"] = "no"',
    'save("state", 2, 1)',
    'open(root + "/done", "w")',
    'wait("end")',
  ];
  const job = await processJob(rig, saving(...steps), NO_SYNC);
  const newer = `${job.prefix}checkpoints/00000002-state`;
  // Refused at once, so that the machine looks on, and tries it again.
  await rig.fault({ name: `${newer}/manifest.json`, do: { kind: 'status', status: 403 }, times: 1_000 });
  await rig.assign(job);
  await rig.until(async () => (await keysOf(job.prefix)).length === 2, 'the older one in the bucket');
  await writeFile(join(rig.home, 'go'), '');
  await rig.until(
    async () => (await rig.read(`${newer}/data.json`)) !== undefined,
    'a part of the newer one',
  );
  await rig.until(() => existsSync(join(rig.job, 'checkpoints', 'done')), 'the removal on the machine');
  const tries = (): number => rig.console.split('00000002-state could not be sent').length;
  const before = tries();
  await rig.until(() => tries() >= before + 2, 'two more looks');
  const older = ['00000001-state/data.json', '00000001-state/manifest.json'];
  expect(await keysOf(job.prefix)).toEqual([...older, '00000002-state/data.json']);
  await rig.noFaults();
  const whole = ['.removed-00000001-state', '00000002-state/data.json', '00000002-state/manifest.json'];
  await rig.until(async () => `${await keysOf(job.prefix)}` === `${whole}`, 'the newer one alone');
  await writeFile(join(rig.home, 'end'), '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
});

it('keeps the newest checkpoint of each name, though the stage removes all of them', async () => {
  rig.boot();
  const steps = [
    ...['state', 'state', 'other'].map((name, n) => `save("${name}", ${n})`),
    'for name in os.listdir(root): shutil.rmtree(root + "/" + name, ignore_errors=True)',
  ];
  const job = await rig.assign(await processJob(rig, saving(...steps), NO_SYNC));
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  expect((await keysOf(job.prefix)).filter((key) => !key.endsWith('/data.json'))).toEqual([
    '.removed-00000001-state',
    '00000002-state/manifest.json',
    '00000003-other/manifest.json',
  ]);
});

it('says of those of earlier attempts too that the stage has removed them, and only then', async () => {
  rig.boot();
  const stored = await rig.store('cp/1', MANIFEST);
  const data = await rig.store('cp/2', 'data');
  const given = ['00000001-state', '00000002-other', 'from/stage-0123456789ab/00000009-state'];
  const checkpoints = given.flatMap((id) => [
    { ...stored, path: `${id}/manifest.json` },
    { ...data, path: `${id}/data.bin` },
  ]);
  const script = saving('wait("go")', 'shutil.rmtree(root + "/00000002-other")', 'save("state", 1, 1)');
  const job = await rig.assign(await processJob(rig, script, { ...NO_SYNC, checkpoints }));
  await rig.until(() => existsSync(join(rig.job, 'attempt', 'wrapper.json')), 'the program');
  // Root without its powers, as a stage has it here, is not the user whom they were given to.
  for (const id of given) await chmod(join(rig.job, 'checkpoints', id), 0o777);
  await writeFile(join(rig.home, 'go'), '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  expect(await keysOf(job.prefix)).toEqual([
    '.removed-00000001-state',
    '00000002-state/data.json',
    '00000002-state/manifest.json',
  ]);
});

it('goes on sending where the bucket does not let it remove anything', async () => {
  rig.boot();
  const job = await processJob(rig, saving(...[1, 2, 3].map((n) => `save("state", ${n}, 1)`)), NO_SYNC);
  await rig.fault({ on: 'objects.delete', do: { kind: 'status', status: 403 }, times: 1_000 });
  await rig.assign(job);
  expect(await rig.result(job)).toMatchObject({ exitCode: 0, lost: false });
  expect(await keysOf(job.prefix)).toContain('00000003-state/manifest.json');
  expect(rig.console).toContain('a checkpoint that was removed is in the bucket yet: HTTP 403');
});
