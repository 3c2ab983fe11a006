import { spawnSync } from 'node:child_process';
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { WrapperSpec } from '../../src/backends/wrapper-spec.ts';
import { assetPath } from '../../src/core/assets.ts';
import { readIfThere, until } from '../contracts/backend-harness.ts';
import {
  attemptFolder as makeAttempt,
  startWrapper,
  wrapperLog,
  wrapperResult,
} from '../support/run-wrapper.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-wrapper-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

function attemptFolder(argv: string[], change: Partial<WrapperSpec> = {}): Promise<string> {
  return makeAttempt(
    home,
    [
      (control, { dir, runId }) => ({
        kind: 'process',
        argv,
        cwd: dir,
        environment: { PATH: '/usr/bin:/bin' },
        goldfishEnvironment: {
          GOLDFISH_RUN_ID: runId,
          GOLDFISH_ATTEMPT: '1',
          GOLDFISH_CONTROL: control,
        },
        memoryBytes: null,
        pidsLimit: null,
        cpus: null,
        sandbox: null,
      }),
    ],
    change,
  );
}

it('is started many times at once for one attempt and executes it once', async () => {
  const count = join(home, 'count');
  const dir = await attemptFolder(['/bin/sh', '-c', `echo ran >> '${count}'; sleep 0.2`]);
  const ended = await Promise.all(Array.from({ length: 10 }, () => startWrapper(dir).ended));
  expect(ended.filter(({ answer }) => answer === '{"took": true}\n')).toHaveLength(1);
  const refused = ended.filter(({ code }) => code === 3);
  expect(refused.map(({ answer }) => JSON.parse(answer))).toEqual(
    Array(9).fill({ took: false, why: 'already taken' }),
  );
  await startWrapper(dir).ended;
  expect(await readFile(count, 'utf8')).toBe('ran\n');
});

it('starts nothing where it was given up before it had said that it lives', async () => {
  const dir = await attemptFolder(['/bin/sh', '-c', `echo ran > '${join(home, 'ran')}'`]);
  await writeFile(join(dir, 'given-up'), '');
  expect((await startWrapper(dir).ended).code).toBe(0);
  expect(await wrapperResult(dir)).toMatchObject({ started: false, lost: true, stoppedBy: null });
  expect(await readdir(home)).not.toContain('ran');
  const stopped = await attemptFolder(['true']);
  const request = { reason: 'cancel', graceSeconds: 0, because: { rank: 0, message: 'It is late.' } };
  await writeFile(join(stopped, 'stop-request.json'), JSON.stringify(request));
  await writeFile(join(stopped, 'given-up'), '');
  await startWrapper(stopped).ended;
  expect(await wrapperResult(stopped)).toMatchObject({ started: false, lost: false, error: 'It is late.' });
});

it('notes now and then that the attempt still runs, for the day on which the machine loses its power', async () => {
  const wrapper = join(home, 'runtime', 'run_wrapper.py');
  await cp(assetPath('runtime'), join(home, 'runtime'), { recursive: true });
  const source = await readFile(wrapper, 'utf8');
  await writeFile(wrapper, source.replace('ALIVE_SECONDS = 20.0', 'ALIVE_SECONDS = 0.1'));
  const dir = await attemptFolder(['sleep', '0.8']);
  const began = Date.now();
  await startWrapper(dir, undefined, wrapper).ended;
  const { mtimeMs } = await stat(join(dir, 'wrapper.json'));
  expect(mtimeMs - began).toBeGreaterThan(600);
});

it('takes nothing from a caller that died while it was asking', async () => {
  const dir = await attemptFolder(['true']);
  for (const cut of ['', '{"secrets": {"TOK', '{"secrets": {}}', '{"other": {}}', 'null', '[]']) {
    const { code, answer } = await startWrapper(dir, cut).ended;
    expect({ code, answer: JSON.parse(answer) }).toEqual({
      code: 3,
      answer: { took: false, why: 'the request was cut short' },
    });
  }
  expect(await readdir(dir)).not.toContain('started');
  expect((await startWrapper(dir).ended).code).toBe(0);
  expect(await wrapperResult(dir)).toMatchObject({ started: true, exitCode: 0 });
});

it('takes nothing without a readable spec, and can be asked again', async () => {
  const dir = await attemptFolder(['true']);
  const spec = await readFile(join(dir, 'spec.json'), 'utf8');
  const other = spec.replace('"schema":2', '"schema":1');
  const none = JSON.stringify({ ...JSON.parse(spec), ranks: [] });
  for (const broken of [spec.slice(0, 40), '{}', '[]', other, none]) {
    await writeFile(join(dir, 'spec.json'), broken);
    expect((await startWrapper(dir).ended).code).toBe(3);
  }
  expect(await readdir(dir)).not.toContain('started');
  await writeFile(join(dir, 'spec.json'), spec);
  expect((await startWrapper(dir).ended).code).toBe(0);
});

it('ends with the program when the program closes its output early, not before', async () => {
  const dir = await attemptFolder(['/bin/sh', '-c', 'exec >&- 2>&-; sleep 0.4; exit 5']);
  await startWrapper(dir).ended;
  expect(await wrapperResult(dir)).toMatchObject({ exitCode: 5 });
});

it('does not follow a link that the program put where the stop file goes', async () => {
  const target = join(home, 'precious');
  await writeFile(target, 'precious');
  const dir = await attemptFolder(['sleep', '30'], { timeoutSeconds: 0.2 });
  await symlink(target, join(dir, 'control', 'stop'));
  await startWrapper(dir).ended;
  expect(await wrapperResult(dir)).toMatchObject({ stoppedBy: 'timeout', signal: 'SIGTERM' });
  expect(await readFile(target, 'utf8')).toBe('precious');
});

/** Starts a program that waits, and answers when it runs. */
async function startWaiting(
  script = 'sleep 30',
): Promise<{ dir: string; wrapper: ReturnType<typeof startWrapper> }> {
  const dir = await attemptFolder(['/bin/sh', '-c', `echo > "$GOLDFISH_CONTROL/go"; ${script}`]);
  const wrapper = startWrapper(dir);
  await until(() => readIfThere(join(dir, 'control', 'go')), 'the program ran');
  return { dir, wrapper };
}

it('is not ended by the signals of a terminal, and is lost by a TERM that nobody of us sent', async () => {
  const { dir, wrapper } = await startWaiting();
  process.kill(wrapper.pid, 'SIGINT');
  process.kill(wrapper.pid, 'SIGHUP');
  process.kill(wrapper.pid, 'SIGTERM');
  expect((await wrapper.ended).code).toBe(0);
  expect(await wrapperResult(dir)).toMatchObject({
    started: true,
    stoppedBy: null,
    lost: true,
    signal: 'SIGTERM',
    error: 'The machine, or somebody on it, told the run to end (TERM): Goldfish had not asked for it.',
  });
});

it('is lost by such a TERM even where the program makes a good end of it', async () => {
  const { dir, wrapper } = await startWaiting('trap "exit 0" TERM; while :; do sleep 0.1; done');
  process.kill(wrapper.pid, 'SIGTERM');
  await wrapper.ended;
  expect(await wrapperResult(dir)).toMatchObject({ stoppedBy: null, lost: true, exitCode: 0 });
});

it('honours a request to stop that comes with the TERM or soon after it', async () => {
  const request = JSON.stringify({ reason: 'monitor', graceSeconds: 1 });
  for (const late of [false, true]) {
    const { dir, wrapper } = await startWaiting();
    const file = join(dir, 'stop-request.json');
    if (late) process.kill(wrapper.pid, 'SIGTERM');
    await writeFile(`${file}.new`, request);
    await rename(`${file}.new`, file);
    if (!late) process.kill(wrapper.pid, 'SIGTERM');
    await wrapper.ended;
    expect(await wrapperResult(dir)).toMatchObject({ stoppedBy: 'monitor', lost: false, signal: 'SIGTERM' });
  }
});

it('takes over the reason of somebody of us who asks after a TERM that nobody of us sent', async () => {
  const { dir, wrapper } = await startWaiting('trap "" TERM; while :; do sleep 0.1; done');
  process.kill(wrapper.pid, 'SIGTERM');
  await until(() => readIfThere(join(dir, 'control', 'stop')), 'the stop file');
  await writeFile(join(dir, 'stop-request.json'), JSON.stringify({ reason: 'cancel', graceSeconds: 0 }));
  process.kill(wrapper.pid, 'SIGTERM');
  await wrapper.ended;
  expect(await wrapperResult(dir)).toMatchObject({ stoppedBy: 'cancel', lost: false, signal: 'SIGKILL' });
});

it('continues a log that has build lines in it, without a record that was cut off', async () => {
  const dir = await attemptFolder(['echo', 'out']);
  const build = '2026-11-21T22:00:00.123Z b  Collecting\n';
  await mkdir(join(dir, 'log'));
  await writeFile(join(dir, 'log', '000000000000.log'), `${build}2026-11-21T22:00:00.123Z b  cut o`);
  await startWrapper(dir).ended;
  const log = await readFile(join(dir, 'log', '000000000000.log'), 'utf8');
  expect(log.replaceAll(/\d{4}-\S+Z/g, 'T')).toBe('T b  Collecting\nT o  out\n');
  expect(await wrapperResult(dir)).toMatchObject({ logBytes: Buffer.byteLength(log) });
});

/** A file system of 256 KiB that is really full; needs the right to mount. */
const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

it.skipIf(!canMount)(
  `neither hangs nor loses the result when the program fills the disk${canMount ? '' : ' (needs the right to mount: run as root)'}`,
  async () => {
    const small = join(home, 'small');
    await mkdir(small);
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', small]).status).toBe(0);
    try {
      const made = await attemptFolder([
        '/bin/sh',
        '-c',
        'seq 1 200000; dd if=/dev/zero of=fill 2>&1; echo after; exit 6',
      ]);
      const dir = join(small, 'attempt');
      await mkdir(join(dir, 'control'), { recursive: true });
      const spec = (await readFile(join(made, 'spec.json'), 'utf8')).replaceAll(made, dir);
      await writeFile(join(dir, 'spec.json'), spec);
      await startWrapper(dir).ended;
      const ended = await wrapperResult(dir);
      expect(ended).toMatchObject({
        started: true,
        exitCode: 6,
        signal: null,
        error: 'The log is incomplete: No space left on device.',
      });
      const log = await readFile(join(dir, 'log', '000000000000.log'), 'utf8');
      expect(log.length).toBe(ended['logBytes']);
      expect(log.length).toBeGreaterThan(50_000);
      expect(log.endsWith('\n')).toBe(true);
    } finally {
      spawnSync('umount', [small]);
    }
  },
);

it('gives who watches the stop file the grace period once, then TERM and a second, however often it is asked', async () => {
  const { dir, wrapper } = await startWaiting(
    ': > "$GOLDFISH_CONTROL/listens"; trap "echo TERM" TERM; echo > "$GOLDFISH_CONTROL/ready"; while :; do sleep 0.1; done',
  );
  await until(() => readIfThere(join(dir, 'control', 'ready')), 'it listens');
  const began = performance.now();
  await writeFile(join(dir, 'stop-request.json'), JSON.stringify({ reason: 'cancel', graceSeconds: 2 }));
  process.kill(wrapper.pid, 'SIGTERM');
  await until(() => readIfThere(join(dir, 'control', 'stop')), 'the stop file');
  process.kill(wrapper.pid, 'SIGTERM');
  await wrapper.ended;
  expect(performance.now() - began).toBeGreaterThan(2_900);
  expect(performance.now() - began).toBeLessThan(4_000);
  expect(await wrapperLog(dir)).toContain('o TERM');
  expect(await wrapperResult(dir)).toMatchObject({ stoppedBy: 'cancel', signal: 'SIGKILL' });
});
