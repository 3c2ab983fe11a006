import { constants, createHash, publicEncrypt, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type JobDocument, sealedKey, sealedSchema } from '../../../src/backends/gce/job-document.ts';
import { wrapperRequest } from '../../../src/backends/start-wrapper.ts';
import type { EmulatorProcess } from '../../support/gcs-emulator-process.ts';
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

const PIECE_BYTES = 280;

/** As a controller seals: in pieces, each with what all have in common, its number and their count. */
function seal(
  publicKey: string,
  content: string,
  change: (pieces: Buffer[]) => Buffer[] = (it) => it,
): string {
  const bytes = Buffer.from(content);
  const common = randomBytes(16);
  const count = Math.max(1, Math.ceil(bytes.length / PIECE_BYTES));
  const pieces = Array.from({ length: count }, (_, number) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(number, 0);
    head.writeUInt16BE(count, 2);
    return Buffer.concat([common, head, bytes.subarray(number * PIECE_BYTES, (number + 1) * PIECE_BYTES)]);
  });
  const key = { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  const sealed = change(pieces).map((piece) => publicEncrypt(key, piece).toString('base64'));
  return JSON.stringify(sealedSchema.parse({ schema: 1, pieces: sealed }));
}

const sealedPlace = (job: JobDocument, boot = 1) =>
  sealedKey({ prefix: job.prefix, worker: rig.worker, boot });

/** Whether any file below the folder holds the text. */
function holds(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter(
      (path) => statSync(path, { throwIfNoEntry: false })?.isFile() && readFileSync(path).includes(text),
    );
}

/** Arguments and environments of the worker, the run wrapper and what else works for it; not of the program itself. */
function seenOfHelpers(): string[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [words, environment] = ['cmdline', 'environ'].map((file) =>
        readFileSync(`/proc/${name}/${file}`, 'latin1'),
      );
      const isOurs = `${words}${environment}`.includes(rig.root);
      return isOurs && !environment!.includes('GOLDFISH_RUN_ID=') ? [`${words}${environment}`] : [];
    } catch {
      return [];
    }
  });
}

it('hands secrets over byte by byte, and they are nowhere but in the program', async () => {
  rig.boot();
  const { publicKey } = await rig.told({ phase: 'idle' });
  expect(publicKey).toMatch(/^-----BEGIN PUBLIC KEY-----/);
  const value = `hush ${randomBytes(400).toString('hex')} äöü "quoted" $HOME \n second line`;
  const go = join(rig.home, 'go');
  const script = `printf %s "$MY_TOKEN" | sha256sum; echo "$MY_TOKEN"
    echo > "$GOLDFISH_CONTROL/go"; while [ ! -e '${go}' ]; do sleep 0.1; done`;
  const job = await rig.assign(await processJob(rig, script, { secrets: true }));
  await rig.told({ number: 1, job: 'none' });
  expect(await rig.read(rig.claim(job))).toBeUndefined();
  await rig.put(sealedPlace(job), seal(publicKey!, wrapperRequest({ MY_TOKEN: value })));
  await rig.until(isRunning, 'the program ran');
  const needle = value.slice(5, 60);
  expect(holds(rig.root, needle)).toEqual([]);
  const helpers = seenOfHelpers();
  expect(helpers.length).toBeGreaterThanOrEqual(2);
  expect(helpers.filter((seen) => seen.includes(needle))).toEqual([]);
  await writeFile(go, '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  const log = await rig.joined(`${job.prefix}log/000000000000.log`);
  expect(log).toContain(createHash('sha256').update(value).digest('hex'));
  expect(log).not.toContain(needle);
  await rig.told({ phase: 'idle', job: 'ended' });
  for (const key of [...(await rig.list('runs/')), ...(await rig.list('workers/'))])
    expect((await rig.read(key))!.includes(needle)).toBe(false);
  expect(rig.console).not.toContain(needle);
});

it('hides secrets in what a program tells of itself before it is sent, wherever a piece ends', async () => {
  rig.boot();
  const { publicKey } = await rig.told({ phase: 'idle' });
  const value = `hush-${randomBytes(40).toString('hex')}`;
  // The line goes on for longer than a piece is, and the secret lies over its end.
  const script = `cd "$GOLDFISH_CONTROL"
    head -c ${4 * 1024 * 1024 - 20} /dev/zero | tr '\\0' x > metrics.jsonl
    printf '%s\\n{"name": "%s", "value": 1}\\n' "$MY_TOKEN" "$MY_TOKEN" >> metrics.jsonl
    printf '{"message": "at %s"}' "$MY_TOKEN" > progress.json; printf %s "$MY_TOKEN" > heartbeat
    mkdir "$GOLDFISH_OUTPUTS/made"; : > "$GOLDFISH_OUTPUTS/made/$(printf '%s\\nend' "$MY_TOKEN")"`;
  const outputs = [{ path: 'attempt/outputs/made', kind: 'folder' as const }];
  const job = await processJob(rig, script, { secrets: true, outputs });
  await rig.put(sealedPlace(job), seal(publicKey!, wrapperRequest({ MY_TOKEN: value })));
  await rig.assign(job);
  const result = await rig.result(job);
  expect(result).toMatchObject({ exitCode: 0 });
  expect(result['problems']).toEqual([
    { path: outputs[0]!.path, message: "holds '***\\nend', a name with a line break" },
  ]);
  const metrics = await rig.joined(`${job.prefix}control/metrics.jsonl`);
  expect(metrics.replace(/^x+/, '')).toBe('***\n{"name": "***", "value": 1}\n');
  expect(metrics.indexOf('*')).toBe(4 * 1024 * 1024 - 20);
  expect(await rig.json(`${job.prefix}control/progress.json`)).toEqual({ message: 'at ***' });
  expect((await rig.read(`${job.prefix}control/heartbeat`))!.toString()).toBe('***');
});

const isRunning = () =>
  statSync(join(rig.job, 'attempt/control/go'), { throwIfNoEntry: false }) !== undefined;

it('keeps its key in memory, for itself alone, and makes another at each boot', async () => {
  rig.boot();
  const first = await rig.told({ phase: 'idle' });
  const folder = readFileSync(join(rig.root, 'key-folder'), 'utf8');
  expect(folder.startsWith(rig.root)).toBe(false);
  expect(statSync(join(folder, 'key.pem')).mode & 0o777).toBe(0o600);
  expect(holds(rig.root, 'PRIVATE KEY')).toEqual([]);
  await rig.cutPower();
  rig.boot();
  const second = await rig.told({ phase: 'idle', boot: 2 });
  expect(second.publicKey).not.toBe(first.publicKey);
  expect(statSync(folder, { throwIfNoEntry: false })).toBeUndefined();
  // What was sealed for the boot before is not waited for, nor of use.
  const job = await processJob(rig, 'true', { secrets: true });
  await rig.put(sealedPlace(job, 1), seal(first.publicKey!, wrapperRequest({})));
  await rig.put(sealedPlace(job, 2), seal(first.publicKey!, wrapperRequest({})));
  await rig.assign(job);
  expect(await rig.result(job)).toMatchObject({
    started: false,
    failedStep: 'secrets',
    error: 'The secrets could not be opened: it was not sealed for this boot of this machine.',
  });
});

it('refuses secrets of which a piece is missing, of another document, or out of its order', async () => {
  rig.boot();
  const { publicKey } = await rig.told({ phase: 'idle' });
  const content = wrapperRequest({ MY_TOKEN: 'x'.repeat(600) });
  const changes: ((pieces: Buffer[]) => Buffer[])[] = [
    (pieces) => pieces.slice(0, -1),
    (pieces) => pieces.toReversed(),
    ([first, ...rest]) => [Buffer.concat([randomBytes(16), first!.subarray(16)]), ...rest],
  ];
  for (const change of changes) {
    const job = await processJob(rig, 'true', { secrets: true });
    await rig.put(sealedPlace(job), seal(publicKey!, content, change));
    await rig.assign(job);
    expect(await rig.result(job)).toMatchObject({ started: false, failedStep: 'secrets' });
  }
});
