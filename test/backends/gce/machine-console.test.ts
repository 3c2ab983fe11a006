import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchAttempt } from '../../../src/backends/gce/launch.ts';
import { keepConsole, tellConsole } from '../../../src/backends/gce/machine-console.ts';
import { rentedStatus } from '../../../src/backends/gce/status.ts';
import { workerProgram } from '../../../src/backends/gce/worker-program.ts';
import { appendLog, readLog } from '../../../src/backends/log-segments.ts';
import type { RunResult, RunSpec } from '../../../src/backends/port.ts';
import { endOfStep } from '../../../src/runs/failed-step.ts';
import { createRentedRig, HANDLE, type RentedRig, WORKER } from './rented-rig.ts';

let rig: RentedRig;
beforeEach(() => {
  rig = createRentedRig();
});
afterEach(() => rig.dispose());

const JOB = { runId: HANDLE.runId, attempt: HANDLE.attempt };
const PREFIX = `[machine ${WORKER}]`;
const keep = (text: string, begun: boolean, workerId = WORKER): Promise<void> =>
  keepConsole(rig.deps, { job: JOB, workerId, begun, text });
const log = async (): Promise<string[]> =>
  (await readLog({ dir: rig.folders.log })).lines.map(({ stream, text }) => `${stream} ${text}`);

/** Until the loss of its machine is told as a result. */
async function lost(): Promise<RunResult | undefined> {
  for (let tries = 0; tries < 100; tries += 1) {
    const { result } = await rentedStatus(rig.deps, HANDLE);
    if (result?.kind === 'read') return result.result;
    await rig.deps.clock.sleep(1_000);
  }
  return undefined;
}

describe('what a machine wrote that was lost with its run', () => {
  it('stands behind the log of the program, once, and its end in the sentence', async () => {
    rig.assign(true);
    await rig.put('log/000000000000.log/000000000000', '2026-01-01T00:01:00.000Z o  hello\n');
    await keep('boots\n\x1b[31mgoldfish: takes the job\x1b[0m\r\n\nKernel panic - not syncing\n', true);
    // Pieces of the machine's own log may still come.
    expect(await log()).toEqual([]);
    rig.change({ event: 'delete', reason: 'silent' });
    const told = [
      'stdout hello',
      `build ${PREFIX} boots`,
      `build ${PREFIX} goldfish: takes the job`,
      `build ${PREFIX} Kernel panic - not syncing`,
    ];
    const result = await lost();
    expect(result).toMatchObject({
      lost: true,
      error:
        'Its machine is gone. It was not heard of for too long. The last it wrote to its serial port: goldfish: takes the job',
    });
    expect(await log()).toEqual(told);
    // Whoever looks again after a death does not tell it twice.
    expect(await lost()).toEqual(result);
    expect(await log()).toEqual(told);
  });

  it('is nothing where the machine was taken back, or another one wrote it', async () => {
    rig.assign(true);
    await keep('goldfish: works\n', true);
    rig.change({ event: 'delete', reason: 'preempted' });
    expect(await lost()).toMatchObject({ error: 'Its machine is gone. Its provider took it back.' });
    expect(await tellConsole(rig.deps, { ...JOB, workerId: 'goldfish-00000000000b' })).toBeUndefined();
    expect(await log()).toEqual([]);
  });
});

describe('what a machine wrote that left before it began the run', () => {
  it('stands in the log at once, for each machine, with secrets taken out and no more than its end', async () => {
    await appendLog({ dir: rig.folders.log, stream: 'build', texts: ['built'], now: 0 });
    const long = 'x'.repeat(5_000);
    await keep(`${'line\n'.repeat(100)}token=s3cret-word\n`, false, 'goldfish-00000000000b');
    await keep(`early\n${long}\n${long}\ngoldfish: not yet: HTTP 403\ngoldfish: gives up\n`, false);
    const lines = await log();
    expect(lines.slice(0, 2)).toEqual(['build built', 'build [machine goldfish-00000000000b] line']);
    expect(lines.slice(1, 41)).toHaveLength(40);
    expect(lines[40]).toBe('build [machine goldfish-00000000000b] token=***');
    const own = lines.slice(41);
    expect(own.slice(-2)).toEqual([
      `build ${PREFIX} goldfish: not yet: HTTP 403`,
      `build ${PREFIX} goldfish: gives up`,
    ]);
    expect(own.join('').length).toBeLessThan(8_500);
    expect(own.join('')).not.toContain('early');
    expect(readFileSync(join(rig.folders.dir, 'console.json'), 'utf8')).not.toContain('s3cret');
  });

  it('is named by the failure of the launch that found no better one', async () => {
    const { sha256 } = await workerProgram();
    await rig.put('job.json', sha256);
    await keep(
      'goldfish: Traceback … DiskTrouble: the disk cache is not there\ngoldfish: leaves: failed\n',
      false,
    );
    const rented = await rig.deps.rented();
    const why = 'Something on it does not work, and it gave up.';
    const pool = { ...rented.pool, acquire: async () => ({ kind: 'unfit', workerId: WORKER, why }) as const };
    const deps = { ...rig.deps, rented: async () => ({ ...rented, pool }) };
    const failed = await launchAttempt(deps, SPEC).catch((error: unknown) => error);
    expect(endOfStep('launch_failed', failed)).toMatchObject({
      cause: 'launch_failed',
      message: `Machines come up and do not begin the run. Of the last one: ${why} The last it wrote to its serial port: goldfish: Traceback … DiskTrouble: the disk cache is not there`,
    });
    expect(await log()).toHaveLength(2);
  });
});

const IMAGE = `sha256:${'ab'.repeat(32)}`;
const SPEC: RunSpec = {
  ...JOB,
  workspace: 'exp',
  version: 'v3',
  stage: 'train',
  profile: 'cpu-small',
  command: ['true'],
  codeDir: '/nowhere/code',
  attemptDir: '/nowhere/attempt',
  checkpointsDir: '/nowhere/checkpoints',
  config: {},
  environment: {},
  secrets: {},
  inputs: [],
  outputs: [],
  resources: { nodes: 1, memoryBytes: null, cpus: 1, gpus: 0, pidsLimit: 100, network: false },
  runtime: {
    key: 'k',
    description: 'an image',
    data: {
      image: IMAGE,
      python: true,
      pythonPath: '',
      reference: `europe-docker.pkg.dev/p/r/goldfish@${IMAGE}`,
    },
  },
  timeoutSeconds: 60,
  stopGraceSeconds: 10,
  wakeSocket: null,
};
