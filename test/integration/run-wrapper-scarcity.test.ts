import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { wrapperRequest } from '../../src/backends/start-wrapper.ts';
import { assetPath } from '../../src/core/assets.ts';
import { readIfThere, until } from '../contracts/backend-harness.ts';
import { attemptFolder, PYTHON, startWrapper, wrapperLog, wrapperResult } from '../support/run-wrapper.ts';

const NO_SECRETS = wrapperRequest({});

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-wrapper-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

function attempt(script: string): Promise<string> {
  return attemptFolder(home, [
    (control, { dir, runId }) => ({
      kind: 'process',
      argv: ['/bin/sh', '-c', script],
      cwd: dir,
      environment: { PATH: '/usr/bin:/bin' },
      goldfishEnvironment: { GOLDFISH_RUN_ID: runId, GOLDFISH_ATTEMPT: '1', GOLDFISH_CONTROL: control },
      memoryBytes: null,
      pidsLimit: null,
      cpus: null,
      sandbox: null,
    }),
  ]);
}

/** The wrapper with one call of the kernel, or a part of ours, replaced: machines in that state are rare. */
function changed(change: string): string[] {
  const script = [
    'import sys',
    `sys.path.insert(0, ${JSON.stringify(dirname(assetPath('runtime/run_wrapper.py')))})`,
    'import errno, os, run_wrapper, wrapper_folder',
    'def refuse(number):',
    '    def call(*_, **__): raise OSError(number, os.strerror(number))',
    '    return call',
    change,
    'sys.exit(run_wrapper.main(sys.argv[1]))',
  ].join('\n');
  return ['-B', '-c', script];
}

function runWith(dir: string, change: string): { status: number | null; answer: string; errors: string } {
  const options = { input: NO_SECRETS, encoding: 'utf8', timeout: 30_000 } as const;
  const ended = spawnSync(PYTHON, [...changed(change), dir], options);
  return { status: ended.status, answer: ended.stdout, errors: ended.stderr };
}

/** `took` has happened when it runs. */
const afterTake = (line: string): string =>
  `took = run_wrapper.Attempt.take\ndef take(self):\n    took(self); ${line}\nrun_wrapper.Attempt.take = take`;

it.each([
  ['no process can be made', 'os.fork = refuse(errno.EAGAIN)', 'Resource temporarily unavailable'],
  ['no pipe can be made', afterTake('os.pipe = refuse(errno.EMFILE)'), 'Too many open files'],
  [
    'no thread can be made',
    'def start(*_): raise RuntimeError("can\'t start new thread")\nrun_wrapper.ProcessProgram.start = start',
    "can't start new thread",
  ],
])('says that the program could not be started where %s', async (_what, change, why) => {
  const dir = await attempt('true');
  expect(runWith(dir, change)).toMatchObject({ status: 0, answer: '{"took": true}\n', errors: '' });
  expect(await wrapperResult(dir)).toMatchObject({
    started: false,
    lost: false,
    stoppedBy: null,
    error: `The program could not be started: ${why}.`,
  });
});

it('goes on where it cannot say what it is doing, and says it when it can', async () => {
  const dir = await attempt(
    'echo > "$GOLDFISH_CONTROL/go"; while ! test -e end; do sleep 0.05; done; echo done',
  );
  // The file it writes first and renames cannot be made while a folder stands there.
  const change = afterTake('os.mkdir(self.folder.path(".wrapper.json.tmp"))');
  const wrapper = spawn(PYTHON, [...changed(change), dir], { stdio: ['pipe', 'ignore', 'inherit'] });
  wrapper.stdin.end(NO_SECRETS);
  const ended = new Promise((resolve) => wrapper.once('close', resolve));
  await until(() => readIfThere(join(dir, 'control', 'go')), 'the program ran');
  expect(JSON.parse((await readIfThere(join(dir, 'wrapper.json'))) ?? '{}')).toMatchObject({
    startedAt: null,
  });
  await rmdir(join(dir, '.wrapper.json.tmp'));
  await until(
    async () => JSON.parse((await readIfThere(join(dir, 'wrapper.json'))) ?? '{}').startedAt !== null,
    'it says that it runs',
  );
  await writeFile(join(dir, 'end'), '');
  expect(await ended).toBe(0);
  expect(await wrapperResult(dir)).toMatchObject({ started: true, exitCode: 0, lost: false });
  expect(await wrapperLog(dir)).toEqual(['o done']);
});

it('can be started again where the disk had no room for the result', async () => {
  const dir = await attempt('true');
  const refused = runWith(dir, 'wrapper_folder.reserve = refuse(errno.ENOSPC)');
  expect(refused).toMatchObject({ status: 3, answer: '{"took": false, "why": "No space left on device"}\n' });
  expect(await readdir(dir)).not.toContain('started');
  expect((await startWrapper(dir).ended).code).toBe(0);
  expect(await wrapperResult(dir)).toMatchObject({ started: true, exitCode: 0 });
});
