import { spawnSync } from 'node:child_process';
import { constants, createHash, publicEncrypt, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type JobDocument, sealedKey, sealedSchema } from '../../../src/backends/gce/job-document.ts';
import { wrapperRequest } from '../../../src/backends/start-wrapper.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { PYTHON } from '../../support/run-wrapper.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
openForEach((opened) => {
  rig = opened;
});

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
    printf %s "$MY_TOKEN" > heartbeat
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
  expect((await rig.read(`${job.prefix}control/heartbeat`))!.toString()).toBe('***');
});

/** What a program waits for, as a part of its script. */
const waitFor = (file: string): string => `while [ ! -e '${file}' ]; do sleep 0.05; done`;

/** Assigns a job with that secret and waits until its program runs. */
async function withSecret(script: string, secret: string, change: Partial<JobDocument> = {}) {
  rig.boot();
  const { publicKey } = await rig.told({ phase: 'idle' });
  const { code: _, ...rest } = change;
  const job = await processJob(rig, script, { secrets: true, ...rest });
  await rig.put(sealedPlace(job), seal(publicKey!, wrapperRequest({ MY_TOKEN: secret })));
  return rig.assign(job);
}

it('shows no secret while the run goes on, however its program spells it, and counts the bytes that are in the bucket', async () => {
  const value = `pa"ss\\wörd ${randomBytes(12).toString('hex')}\nsecond-${randomBytes(12).toString('hex')}`;
  const go = join(rig.home, 'go');
  // Each line in two writes, with a pause in which what is there is sent: one half is never sent by itself.
  const program = `
import json, os, sys, time
value = os.environ["MY_TOKEN"]
with open(os.environ["GOLDFISH_CONTROL"] + "/metrics.jsonl", "a") as file:
    for text in (json.dumps({"name": value, "value": 1}), json.dumps({"message": value}, ensure_ascii=False), json.dumps({"name": "x", "value": value})):
        for part in (text[:30], text[30:] + "\\n"):
            file.write(part); file.flush(); time.sleep(0.3)
with open(os.environ["GOLDFISH_CONTROL"] + "/heartbeat", "w") as file: file.write("at " + value)`;
  const script = `'${PYTHON}' -c '${program}'; ${waitFor(go)}; echo '{"name": "end", "value": 2}' >> "$GOLDFISH_CONTROL/metrics.jsonl"`;
  const job = await withSecret(script, value, { syncSeconds: 0.1 });
  const words = [...value.matchAll(/[0-9a-f]{24}/g)].map(([word]) => word);
  const seen = new Set<string>();
  const look = async (): Promise<boolean> => {
    const keys = await rig.list(`${job.prefix}`);
    for (const key of keys) {
      const text = (await rig.read(key))?.toString() ?? '';
      if (words.some((word) => text.includes(word))) seen.add(key);
    }
    return (
      keys.includes(`${job.prefix}control/heartbeat`) &&
      keys.filter((key) => key.includes('/metrics.jsonl/')).length >= 3
    );
  };
  await rig.until(look, 'what the program told');
  await writeFile(go, '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  await look();
  expect([...seen]).toEqual([]);
  // `joined` refuses pieces that are not named by the first byte that each holds.
  const lines = (await rig.joined(`${job.prefix}control/metrics.jsonl`)).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { name: '***', value: 1 },
    { message: '***' },
    { name: 'x', value: '***' },
    { name: 'end', value: 2 },
  ]);
  expect((await rig.read(`${job.prefix}control/heartbeat`))!.toString()).toBe('at ***\n***');
});

it('leaves what the run wrapper says of itself as it is, whatever a secret looks like', async () => {
  const sign = join(rig.job, 'attempt/wrapper.json');
  const copy = join(rig.home, 'copy');
  // The program is seen to run before this can be read there.
  const script = `until grep -q '"startedAt": *"' '${sign}'; do sleep 0.05; done; cp '${sign}' '${copy}'`;
  const job = await withSecret(script, `${new Date().getFullYear()}\nrank\nnull`);
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  const { startedAt, ranks } = JSON.parse(await readFile(copy, 'utf8'));
  expect(await rig.json(`${job.prefix}wrapper.json`)).toMatchObject({
    startedAt,
    ranks: [{ rank: ranks[0].rank }],
  });
});

it('looks a line of metrics through once, however often a secret is in it', () => {
  const program = `
import sys; sys.path[:0] = sys.argv[1:]
from worker_hiding import LineRedactor
line = b'{"a": [' + b", ".join([b"2026"] * 200000) + b', "x 2026"]}'
done = LineRedactor(["2026"]).apply(line)
assert done == line.replace(b'"x 2026"', b'"x ***"'), done[-40:]
`;
  const folders = ['runtime', 'runtime/worker'].map(assetPath);
  const ran = spawnSync(PYTHON, ['-B', '-c', program, ...folders], { encoding: 'utf8', timeout: 20_000 });
  expect({ status: ran.status, said: ran.stderr }).toEqual({ status: 0, said: '' });
});

it('takes a short secret out of no number of a metric, and out of no word that makes it one', async () => {
  const lines = [
    '{"name": "loss of value", "value": 0.value1, "step": 1}',
    '{"name": "loss of value", "value": 0.5, "step": 1}',
    '{"name": "pin 4711", "value": 0.4711, "step": 4711, "time": 4711}',
    '4711 value',
  ];
  const script = `cat > "$GOLDFISH_CONTROL/metrics.jsonl" <<'END'\n${lines.join('\n')}\nEND`;
  const job = await withSecret(script, 'value\n4711');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  expect((await rig.joined(`${job.prefix}control/metrics.jsonl`)).split('\n')).toEqual([
    '{"name": "loss of ***", "***": 0.***1, "step": 1}',
    '{"name": "loss of ***", "value": 0.5, "step": 1}',
    '{"name": "pin ***", "value": 0.4711, "step": 4711, "time": 4711}',
    '*** ***',
    '',
  ]);
});

it('cuts a sign of life where no secret is, however many it has', async () => {
  const value = `hush-${randomBytes(40).toString('hex')}`;
  // What is hidden is shorter: the end of what is read comes into what is sent.
  const script = `i=0; while [ $i -lt 900 ]; do printf 'x%s' "$MY_TOKEN"; i=$((i+1)); done > "$GOLDFISH_CONTROL/heartbeat"`;
  const job = await withSecret(script, value);
  await rig.result(job);
  expect((await rig.read(`${job.prefix}control/heartbeat`))!.toString()).toMatch(/^(x\*\*\*)+x?$/);
});

it('says nothing of a secret on its serial port, where a stage names what it makes after it', async () => {
  const value = `hush-${randomBytes(20).toString('hex')}`;
  const go = join(rig.home, 'go');
  const script = `cd "$GOLDFISH_CHECKPOINTS"; mkdir "00000001-$MY_TOKEN" 00000002-s
    echo '{"files": [{"path": "of '"$MY_TOKEN"'", "sha256": "x"}]}' > 00000002-s/manifest.json; ${waitFor(go)}`;
  await withSecret(script, value);
  await rig.until(() => rig.console.includes('lacks'), 'that it has looked at both');
  await writeFile(go, '');
  await rig.told({ phase: 'idle', job: 'ended' });
  expect(rig.console).toContain('goldfish: the checkpoint 00000001-*** has no manifest of use');
  expect(rig.console).toContain("goldfish: the checkpoint 00000002-s lacks 'of ***'");
  expect(rig.console).not.toContain(value);
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
