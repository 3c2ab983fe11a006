import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { JobDocument } from '../../../src/backends/gce/job-document.ts';
import { readStopNote } from '../../../src/backends/stop-request.ts';
import { projectLayout } from '../../../src/core/layout.ts';
import { findProcesses } from '../../contracts/backend-harness.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
openForEach((opened) => {
  rig = opened;
});

/** A program that says that it runs, and then waits. */
const WAITS = 'echo > "$GOLDFISH_CONTROL/go"; echo running; while :; do sleep 0.1; done';

async function running(script = WAITS, change: Parameters<typeof processJob>[2] = {}): Promise<JobDocument> {
  const job = await rig.assign(await processJob(rig, script, change));
  await rig.until(() => existsSync(join(rig.job, 'attempt', 'control', 'go')), 'the program ran');
  return job;
}

const stop = (job: JobDocument, request: object) =>
  rig.put(`${job.prefix}control-in/stop.json`, JSON.stringify(request));

it('stops a program that is to be stopped, for the reason that was given', async () => {
  rig.boot();
  const job = await running('trap "" TERM; echo > "$GOLDFISH_CONTROL/go"; while :; do sleep 0.1; done');
  const because = { rank: 0, message: 'It was silent for 60 s.' };
  await stop(job, { graceSeconds: 60, reason: 'heartbeat', because });
  const layout = projectLayout(rig.home).attempt(job.runId, 1);
  const folders = { ...layout, dir: join(rig.job, 'attempt') };
  await rig.until(async () => (await readStopNote(folders)) !== undefined, 'a note of the request');
  // The product reads the note as one of its own.
  expect(await readStopNote(folders)).toMatchObject({ reason: 'heartbeat', graceSeconds: 60, because });
  await stop(job, { graceSeconds: 3, reason: 'cancel' });
  await rig.until(async () => (await readStopNote(folders))?.graceSeconds === 3, 'a shorter grace');
  expect(await readStopNote(folders)).toMatchObject({ reason: 'heartbeat', because });
  expect(await rig.result(job)).toMatchObject({
    stoppedBy: 'heartbeat',
    signal: 'SIGKILL',
    lost: false,
    error: because.message,
    outputs: [],
  });
  await rig.told({ phase: 'idle', job: 'ended' });
});

it('does not start a program that was to be stopped before', async () => {
  rig.boot();
  const job = await processJob(rig, 'true');
  await stop(job, { graceSeconds: 1, reason: 'cancel' });
  // It takes some time to prepare: an image that does not come.
  rig.engine.pullErrors.push('no', 'no', 'no', 'no', 'no');
  await rig.assign(job);
  expect(await rig.result(job)).toMatchObject({ started: false, stoppedBy: 'cancel' });
});

it('ends a program whose run wrapper does not hear', async () => {
  rig.boot();
  const job = await running();
  const wrapper = JSON.parse(await readFile(join(rig.job, 'attempt', 'wrapper.json'), 'utf8'));
  process.kill(wrapper.pid, 'SIGSTOP');
  await stop(job, { graceSeconds: 0, reason: 'monitor' });
  expect(await rig.result(job)).toMatchObject({ started: true, stoppedBy: 'monitor', signal: 'SIGKILL' });
  await rig.told({ phase: 'idle' });
  expect(await findProcesses(job.runId)).toEqual([]);
});

it('gives a job up that takes longer than its limit, also before its program began', async () => {
  rig.boot();
  const long = await running(WAITS, { limitSeconds: 4, stopGraceSeconds: 1 });
  expect(await rig.result(long)).toMatchObject({ started: true, stoppedBy: 'timeout' });
  expect(await rig.joined(`${long.prefix}log/000000000000.log`)).toContain('running');
  rig.engine.pullErrors.push(...Array<string>(9).fill('no'));
  const stuck = await rig.assign(
    await processJob(rig, 'true', {
      limitSeconds: 3,
      image: { reference: `registry.example/other@sha256:${'1'.repeat(64)}`, login: 'none' },
    }),
  );
  expect(await rig.result(stuck)).toMatchObject({
    started: false,
    stoppedBy: 'timeout',
    error: 'It was not ready to start within the time of the whole attempt.',
  });
});

it('works on through an outage of the storage', async () => {
  rig.boot();
  const go = join(rig.home, 'go');
  const script = `echo > "$GOLDFISH_CONTROL/go"; i=0; while [ ! -e '${go}' ]; do i=$((i+1)); echo "line $i"; sleep 0.1; done
    echo out > "$GOLDFISH_OUTPUTS/a"`;
  const job = await running(script, { outputs: [{ path: 'attempt/outputs/a', kind: 'file' }] });
  await rig.fault({ do: { kind: 'refuse' }, forMs: 10_000 });
  await rig.moreRequests('requests that are refused');
  // It ends in the middle of the outage.
  await writeFile(go, '');
  await rig.until(async () => (await rig.letter().catch(() => undefined))?.phase === 'idle', 'the end');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0, error: null, outputs: [{ size: 4 }] });
  const lines = (await rig.joined(`${job.prefix}log/000000000000.log`)).trim().split('\n');
  expect(lines.map((line) => line.slice(28))).toEqual(lines.map((_, at) => `line ${at + 1}`));
});

it('writes a result once, although the answer was lost', async () => {
  rig.boot();
  const job = await processJob(rig, 'true');
  await rig.fault({ on: 'objects.insert', name: `${job.prefix}exit.json`, do: { kind: 'lose-answer' } });
  await rig.fault({ on: 'objects.insert', name: rig.claim(job, 1), do: { kind: 'lose-answer' } });
  await rig.assign(job);
  expect(await rig.result(job)).toMatchObject({ exitCode: 0, lost: false });
  await rig.told({ phase: 'idle', job: 'ended' });
  expect(rig.console).not.toContain('already');
});

it('ends its program when it is preempted, sends what there is, and leaves no result', async () => {
  rig.boot();
  const sum = '3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7'; // of `data`
  const save = `cd "$GOLDFISH_CHECKPOINTS"; mkdir x; printf data > x/d
    echo '{"name": "s", "files": [{"path": "d", "sha256": "${sum}"}]}' > x/manifest.json; mv x 00000001-s; echo saved; exit 0`;
  const script = `trap '${save.replaceAll("'", `'\\''`)}' TERM; ${WAITS}`;
  const job = await running(script, { syncSeconds: 300 });
  rig.preempt();
  const letter = await rig.told({ phase: 'leaving' });
  expect(letter).toMatchObject({ leaves: 'preempted', job: 'claimed' });
  expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
  expect(await rig.joined(`${job.prefix}log/000000000000.log`)).toContain('saved');
  expect(await rig.list(`${job.prefix}checkpoints/`)).toHaveLength(2);
  expect(rig.computeCalls).toEqual([]);
});

it('does the same when its machine is switched off by somebody', async () => {
  rig.boot();
  const job = await running();
  process.kill(rig.pid, 'SIGTERM');
  expect(await rig.told({ phase: 'leaving' })).toMatchObject({ leaves: 'asked', job: 'claimed' });
  expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
  expect(await rig.joined(`${job.prefix}log/000000000000.log`)).toContain('running');
});
