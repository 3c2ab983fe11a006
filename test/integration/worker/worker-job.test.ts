import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readResult } from '../../../src/backends/attempt-files.ts';
import { readLog } from '../../../src/backends/log-segments.ts';
import { projectLayout } from '../../../src/core/layout.ts';
import { CONTAIN_HINT, canContain } from '../../support/fake-engine.ts';
import { archive, containerJob, DIGEST, processJob } from './worker-jobs.ts';
import { openForEach, type Rig, TOKEN } from './worker-rig.ts';

let rig: Rig;
openForEach((opened) => {
  rig = opened;
});

const out = (name: string) => `attempt/outputs/${name}`;

it('does a job from its documents to its result, and tells of each step', async () => {
  rig.boot();
  const idle = await rig.told({ phase: 'idle' });
  expect(idle).toMatchObject({ boot: 1, number: 0, job: 'none', leaves: null, driver: null });
  const folder = await archive([
    { name: 'sub', type: 'directory', mode: 0o755 },
    { name: 'sub/deep.txt', text: 'deep' },
    { name: 'link', type: 'symlink', linkname: 'sub/deep.txt' },
  ]);
  const script = `
    cat main.txt "$GOLDFISH_INPUTS/table.csv" "$GOLDFISH_INPUTS/set/link"; echo; stat -c %a "$GOLDFISH_INPUTS/set"
    cat "$GOLDFISH_CONFIG"; cat "$GOLDFISH_CHECKPOINTS/00000001-state/data.bin"; echo; echo to-stderr >&2
    echo '{"name": "loss", "value": 1}' >> "$GOLDFISH_CONTROL/metrics.jsonl"
    echo beat > "$GOLDFISH_CONTROL/heartbeat"
    printf 'a,b\\n' > "$GOLDFISH_OUTPUTS/out.csv"
    mkdir -p "$GOLDFISH_OUTPUTS/made/empty"; echo in > "$GOLDFISH_OUTPUTS/made/file"; chmod +x "$GOLDFISH_OUTPUTS/made/file"
    ln -s file "$GOLDFISH_OUTPUTS/made/link"; ln -s /etc/passwd "$GOLDFISH_OUTPUTS/leads-out"`;
  const job = await rig.assign(
    await processJob(rig, script, {
      inputs: [
        { ...(await rig.store('in/1', 'x,y\n')), fileName: 'table.csv', kind: 'file' },
        { ...(await rig.store('in/2', folder)), fileName: 'set', kind: 'folder' },
      ],
      checkpoints: [{ ...(await rig.store('cp/1', 'saved')), path: '00000001-state/data.bin' }],
      outputs: [
        { path: out('out.csv'), kind: 'file' },
        { path: out('made'), kind: 'folder' },
        { path: out('missing.csv'), kind: 'file' },
        { path: out('leads-out'), kind: 'file' },
      ],
    }),
  );
  const result = await rig.result(job);
  expect(result).toMatchObject({ started: true, exitCode: 0, error: null, failedStep: null, lost: false });
  expect(result.outputs.map(({ path, object }) => [path, object])).toEqual([
    [out('out.csv'), `${job.prefix}outputs/out.csv`],
    [out('made'), `${job.prefix}outputs/made.tar`],
  ]);
  expect(result['problems']).toEqual([{ path: out('leads-out'), message: 'is a link, or lies behind one' }]);
  expect((await rig.read(`${job.prefix}outputs/out.csv`))!.toString()).toBe('a,b\n');
  await rig.told({ phase: 'idle', number: 1, job: 'ended' });

  const lines = await logLines(job.prefix);
  expect(lines).toEqual([
    ...['o the code', 'o x,y', 'o deep', 'o 755', 'o {"config": {}}saved'],
    'e to-stderr',
  ]);
  expect(await rig.joined(`${job.prefix}control/metrics.jsonl`)).toBe('{"name": "loss", "value": 1}\n');
  expect((await rig.read(`${job.prefix}control/heartbeat`))!.toString()).toBe('beat\n');
  expect(await rig.json(rig.claim(job))).toMatchObject({ schema: 1, by: rig.worker });
  expect(existsSync(rig.job)).toBe(false);
  expect(rig.engine.containers.size).toBe(0);
  expect(rig.engine.pulls).toEqual([{ reference: job.image.reference, login: null }]);
  expect((await rig.letter())!.images).toEqual([DIGEST]);

  // The product reads the same document.
  const layout = projectLayout(join(rig.home, 'project')).attempt(job.runId, 1);
  await mkdir(layout.dir, { recursive: true });
  await writeFile(layout.result, (await rig.read(`${job.prefix}exit.json`))!);
  expect(await readResult(layout, job)).toMatchObject({ kind: 'read', result: { exitCode: 0 } });
});

/** Of the log as the product reads it, from the pieces of its segments. */
async function logLines(prefix: string): Promise<string[]> {
  const dir = join(rig.home, 'log');
  await mkdir(dir, { recursive: true });
  const segments = new Set((await rig.list(`${prefix}log/`)).map((key) => key.split('/').at(-2)!));
  for (const segment of segments)
    await writeFile(join(dir, segment), await rig.joined(`${prefix}log/${segment}`));
  const { lines } = await readLog({ dir, limitLines: 1e6, limitBytes: 1e9 });
  return lines.map(({ stream, text }) => `${stream === 'stderr' ? 'e' : 'o'} ${text}`);
}

it('shows a second job nothing of the first', async () => {
  rig.boot();
  const first = await rig.assign(
    await processJob(
      rig,
      `export SECRET_OF_FIRST=1; touch "$GOLDFISH_OUTPUTS/.hidden" "$GOLDFISH_CHECKPOINTS/.hidden"
       mkdir -p "$GOLDFISH_OUTPUTS/.deep"; chmod 0 "$GOLDFISH_OUTPUTS/.deep"; setsid sleep 300 & sleep 0.2`,
      { inputs: [{ ...(await rig.store('in/1', 'x')), fileName: '.first', kind: 'file' }] },
    ),
  );
  expect(await rig.result(first)).toMatchObject({ exitCode: 0 });
  const second = await rig.assign(
    await processJob(
      rig,
      `find ${rig.job} -mindepth 1 | sed 's#${rig.job}/##' | sort; env | sort | cut -d= -f1
       ps -A -o args | grep -c '[s]leep 300' || true`,
    ),
  );
  expect(await rig.result(second)).toMatchObject({ exitCode: 0 });
  const lines = (await logLines(second.prefix)).map((line) => line.slice(2));
  expect(lines.filter((line) => /hidden|first|FIRST|deep/.test(line))).toEqual([]);
  expect(lines).toContain('attempt/outputs');
  expect(lines).toContain('code/main.txt');
  expect(lines.at(-1)).toBe('0');
  expect((await rig.list(`${second.prefix}log/`)).length).toBeGreaterThan(0);
});

it('sends the log while the program runs, in pieces that add up byte by byte', async () => {
  rig.boot();
  const go = join(rig.home, 'go');
  const script = `i=0; while [ ! -e '${go}' ]; do i=$((i+1)); echo "line $i äöü"; sleep 0.05; done; printf 'no newline at the end'`;
  const job = await rig.assign(await processJob(rig, script, { syncSeconds: 0.3 }));
  const pieces = () => rig.list(`${job.prefix}log/`);
  await rig.until(async () => (await pieces()).length >= 3, 'three pieces of a log');
  expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
  expect(await rig.json<object>(`${job.prefix}wrapper.json`)).toMatchObject({
    startedAt: expect.any(String),
  });
  const local = join(rig.job, 'attempt', 'log', '000000000000.log');
  const early = await readFile(local, 'utf8');
  await writeFile(go, '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  const whole = await rig.joined(`${job.prefix}log/000000000000.log`);
  expect(whole.startsWith(early)).toBe(true);
  expect((await rig.result(job))['logBytes']).toBe(Buffer.byteLength(whole));
  const lines = await logLines(job.prefix);
  expect(lines.slice(0, -1)).toEqual(lines.slice(0, -1).map((_, at) => `o line ${at + 1} äöü`));
  expect(lines.at(-1)).toBe('o no newline at the end');
});

it('begins nothing where an input is not what it should be', async () => {
  rig.boot();
  const good = await rig.store('in/1', 'right');
  const broken = { ...good, sha256: '0'.repeat(64) };
  const gone = { ...good, object: 'in/none' };
  for (const stored of [broken, gone]) {
    const job = await rig.assign(
      await processJob(rig, 'true', { inputs: [{ ...stored, fileName: 'x', kind: 'file' }] }),
    );
    expect(await rig.result(job)).toMatchObject({
      started: false,
      failedStep: 'input',
      error: expect.stringContaining('An input could not be fetched'),
    });
  }
});

it('reads what comes in cut answers on from where they were cut', async () => {
  rig.boot();
  const content = 'x'.repeat(300_000);
  const stored = await rig.store('in/1', content);
  await rig.fault(
    { on: 'objects.read', name: 'in/1', do: { kind: 'cut-answer', after: 100_000 } },
    { on: 'objects.read', name: 'in/1', do: { kind: 'status', status: 500 } },
  );
  const job = await rig.assign(
    await processJob(rig, 'wc -c < "$GOLDFISH_INPUTS/x"', {
      inputs: [{ ...stored, fileName: 'x', kind: 'file' }],
    }),
  );
  await rig.result(job);
  expect(await logLines(job.prefix)).toEqual(['o 300000']);
});

it('refuses a job document of another version, of another job, or with a path that leads out', async () => {
  rig.boot();
  const usable = await processJob(rig, 'true');
  const changes: [object, string][] = [
    [{ schema: 2 }, 'another version'],
    [{ runId: 'stage-ffffffffffff' }, 'another job'],
    [{ folders: ['attempt/../../../out'] }, 'leads out'],
    [{ files: [{ path: '/etc/goldfish-test', text: '', owner: 'worker' }] }, 'leads out'],
    [{ limitSeconds: 0 }, 'makes no sense'],
  ];
  for (const [change, why] of changes) {
    const job = await processJob(rig, 'true');
    await rig.put(`${job.prefix}job.json`, JSON.stringify({ ...usable, ...job, ...change }));
    await rig.name(job);
    expect(await rig.result(job)).toMatchObject({
      started: false,
      failedStep: 'document',
      error: expect.stringContaining(why),
    });
  }
});

it('pulls with the machine’s token where the registry wants it, and again where that failed', async () => {
  rig.boot();
  rig.engine.pullErrors.push('connection reset by peer');
  const reference = `europe-docker.pkg.dev/p/r/other@sha256:${'cd'.repeat(32)}`;
  const job = await rig.assign(await processJob(rig, 'true', { image: { reference, login: 'metadata' } }));
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  const login = { username: 'oauth2accesstoken', password: TOKEN, serveraddress: 'europe-docker.pkg.dev' };
  expect(rig.engine.pulls).toEqual([
    { reference, login },
    { reference, login },
  ]);
  expect(rig.console).not.toContain(TOKEN);
});

it('signs in with the machine’s token to no other registry', async () => {
  rig.boot();
  const reference = `registry.example/p/other@sha256:${'cd'.repeat(32)}`;
  const job = await rig.assign(await processJob(rig, 'true', { image: { reference, login: 'metadata' } }));
  expect(await rig.result(job)).toMatchObject({
    started: false,
    failedStep: 'image',
    error:
      "The image could not be pulled: the registry registry.example does not know this machine's account.",
  });
  expect(rig.engine.pulls).toEqual([]);
});

it('writes letters while it prepares a job, however long an image takes to come', async () => {
  rig.boot();
  let arrive = (): void => undefined;
  rig.engine.slow.until = new Promise((resolve) => {
    arrive = resolve;
  });
  const job = await rig.assign(await processJob(rig, 'true'));
  const first = await rig.told({ phase: 'working', number: 1, job: 'claimed' });
  await rig.until(async () => (await rig.letter())!.at !== first.at, 'another letter');
  expect(await rig.letter()).toMatchObject({ phase: 'working', number: 1, job: 'claimed' });
  expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
  arrive();
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
});

it.skipIf(!canContain)(`runs a program in a container, after its checks ${CONTAIN_HINT}`, async () => {
  rig.boot();
  const run = ['sh', '-c', 'echo "in $GOLDFISH_RUN_ID"; echo made > "$GOLDFISH_OUTPUTS/a"'];
  const job = await rig.assign(
    await containerJob(rig, run, {
      preflight: [['true'], ['sh', '-c', 'test -d "$GOLDFISH_INPUTS"']],
      outputs: [{ path: out('a'), kind: 'file' }],
    }),
  );
  const result = await rig.result(job);
  expect(result).toMatchObject({ started: true, exitCode: 0, outputs: [{ path: out('a'), size: 5 }] });
  expect(await logLines(job.prefix)).toEqual([`o in ${job.runId}`]);
  await rig.told({ phase: 'idle', job: 'ended' });
  expect(rig.engine.containers.size).toBe(0);
});

it.skipIf(!canContain)(`begins nothing where a check of the sandbox fails ${CONTAIN_HINT}`, async () => {
  rig.boot();
  const ran = join(rig.home, 'ran');
  const job = await rig.assign(
    await containerJob(rig, ['touch', ran], { preflight: [['sh', '-c', 'echo no such device; exit 3']] }),
  );
  expect(await rig.result(job)).toMatchObject({
    started: false,
    failedStep: 'preflight',
    error: 'The check `sh -c echo no such device; exit 3` ended with exit code 3: no such device.',
  });
  expect(existsSync(ran)).toBe(false);
  expect(await rig.told({ leaves: 'failed' })).toMatchObject({ job: 'ended' });
});

it('waits for the driver of its accelerators before it says a word', async () => {
  const bin = join(rig.home, 'bin');
  await mkdir(bin);
  const smi = join(bin, 'nvidia-smi');
  const script = `#!/bin/sh\necho called >> '${rig.home}/smi'\ntest -e '${rig.home}/ready' && echo 550.1\n`;
  await writeFile(smi, script);
  await chmod(smi, 0o755);
  rig.boot({ accelerators: true }, { PATH: `${bin}:${process.env['PATH']}` });
  const calls = () => readFile(join(rig.home, 'smi'), 'utf8').catch(() => '');
  await rig.until(async () => (await calls()).length > 'called\n'.length, 'two looks at the driver');
  expect(await rig.letter()).toBeUndefined();
  await writeFile(join(rig.home, 'ready'), '');
  expect(await rig.told({ phase: 'idle' })).toMatchObject({ driver: '550.1' });
  expect(await readdir(rig.root)).not.toContain('job');
});
