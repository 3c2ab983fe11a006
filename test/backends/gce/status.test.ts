import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rentedStatus } from '../../../src/backends/gce/status.ts';
import { appendLog, readLog } from '../../../src/backends/log-segments.ts';
import type { BackendStatus } from '../../../src/backends/port.ts';
import { workersOfJob } from '../../../src/store/workers.ts';
import { runResult } from '../../support/run-result.ts';
import { createRentedRig, HANDLE, type RentedRig, WORKER } from './rented-rig.ts';

let rig: RentedRig;
beforeEach(() => {
  rig = createRentedRig();
});
afterEach(() => rig.dispose());

const look = (): Promise<BackendStatus> => rentedStatus(rig.deps, HANDLE);

/** Looks again and again, a second apart, until it says what is wanted. */
async function lookUntil(wanted: (status: BackendStatus) => boolean): Promise<BackendStatus> {
  for (let tries = 0; tries < 100; tries += 1) {
    const status = await look();
    if (wanted(status)) return status;
    await rig.deps.clock.sleep(1_000);
  }
  throw new Error(`it never said so; at last ${JSON.stringify(await look())}`);
}

const STARTED = '2026-01-01T00:01:00.000Z';
const wrapper = (ended = false): string =>
  JSON.stringify({
    pid: 1,
    start: 'x',
    bootId: 'y',
    startedAt: STARTED,
    ranks: [{ rank: 0, groups: [], ended }],
  });
const exit = (change: object = {}): string =>
  JSON.stringify({ ...runResult(HANDLE), outputs: [], problems: [], failedStep: null, ...change });

describe('an attempt on a rented machine', () => {
  it('is absent as long as no machine has begun it', async () => {
    expect(await look()).toMatchObject({ phase: 'absent', raw: 'not started' });
    rig.assign(false);
    expect(await look()).toMatchObject({ phase: 'absent', raw: 'waits for a machine' });
  });

  it('is starting once a machine has claimed it, and running once its program is', async () => {
    rig.assign(true);
    expect(await look()).toMatchObject({ phase: 'starting', raw: 'busy', startedAt: null });
    await rig.put('wrapper.json', wrapper());
    expect(await lookUntil(({ phase }) => phase === 'running')).toMatchObject({
      startedAt: STARTED,
      endedRanks: [],
    });
  });

  it('shows what the machine has sent, byte by byte, behind the lines of the build', async () => {
    rig.assign(true);
    await appendLog({ dir: rig.folders.log, stream: 'build', texts: ['built'], now: 0 });
    const line = '2026-01-01T00:01:00.000Z o  hello\n';
    await rig.put('log/000000000000.log/000000000000', line);
    await rig.put('control/metrics.jsonl/000000000000', '{"name":"loss","value":1}\n');
    await rig.put('control/heartbeat', 'beat');
    await rig.put('wrapper.json', wrapper());
    await lookUntil(({ phase }) => phase === 'running');
    await rig.put(`log/000000000000.log/${`${line.length}`.padStart(12, '0')}`, line);
    const texts = async (): Promise<string[]> => {
      rig.time.advance(10_000);
      await look();
      return (await readLog({ dir: rig.folders.log })).lines.map(({ text }) => text);
    };
    await expect.poll(texts).toEqual(['built', 'hello', 'hello']);
    expect(readFileSync(rig.folders.metrics, 'utf8')).toBe('{"name":"loss","value":1}\n');
    expect(readFileSync(rig.folders.heartbeat, 'utf8')).toBe('beat');
  });

  it('is unknown, and neither running nor gone, where the bucket does not answer', async () => {
    rig.assign(true);
    rig.bucket.out = true;
    const status = await lookUntil(({ phase }) => phase === 'unknown');
    expect(status.error).not.toBeNull();
    rig.change({ event: 'delete', reason: 'silent' });
    expect(await look()).toMatchObject({ phase: 'unknown' });
    rig.bucket.out = false;
    expect(await lookUntil(({ phase }) => phase === 'exited')).toMatchObject({ raw: 'exited (read)' });
  });

  it('is unknown, and not absent, as long as the bucket cannot say whether its machine has begun it', async () => {
    rig.assign(false);
    rig.bucket.out = true;
    expect(await look()).toMatchObject({ phase: 'unknown', error: 'The storage does not answer.' });
    rig.bucket.out = false;
    expect(await look()).toMatchObject({ phase: 'absent', raw: 'waits for a machine' });
    await rig.put(`claims/${WORKER}-1.json`, JSON.stringify({ schema: 1, by: WORKER, nonce: 'its own' }));
    expect(await look()).toMatchObject({ phase: 'starting', raw: 'busy' });
    // Seen once, it need not be asked for again.
    expect(workersOfJob(rig.deps.db, HANDLE)).toMatchObject([{ claimedAt: expect.any(String) }]);
  });

  it('is absent where it was called off before a machine could begin it', async () => {
    rig.assign(false);
    await rig.put(`claims/${WORKER}-1.json`, JSON.stringify({ schema: 1, by: 'controller', nonce: '' }));
    expect(await look()).toMatchObject({ phase: 'absent', raw: 'waits for a machine' });
  });

  it('has ended when its result and all of its outputs are here', async () => {
    rig.assign(true);
    const output = {
      path: 'attempt/outputs/a.json',
      kind: 'file',
      object: `${rig.prefix}outputs/a.json`,
      size: 2,
    };
    const sha256 = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
    await rig.put('exit.json', exit({ outputs: [{ ...output, sha256 }] }));
    await rig.put('outputs/a.json', '{}');
    rig.change({ event: 'drain', claimed: true });
    const status = await lookUntil(({ phase }) => phase === 'exited');
    expect(status.result).toMatchObject({
      kind: 'read',
      result: { exitCode: 0, failedStep: null, error: null },
    });
    expect(readFileSync(`${rig.folders.outputs}/a.json`, 'utf8')).toBe('{}');
  });

  it('waits, and says for what, where its outputs have no room here; nothing of it is lost meanwhile', async () => {
    rig.assign(true);
    const sha256 = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
    const object = `${rig.prefix}outputs/a.json`;
    const output = { path: 'attempt/outputs/a.json', kind: 'file', object, size: 2, sha256 };
    await rig.put('exit.json', exit({ outputs: [output] }));
    await rig.put('outputs/a.json', '{}');
    await rig.put('wrapper.json', wrapper());
    rig.holdBack(Number.MAX_SAFE_INTEGER);
    rig.change({ event: 'delete', reason: 'silent' });
    const waiting = await lookUntil(({ raw }) => raw.startsWith('waits'));
    expect(waiting).toMatchObject({ phase: 'starting', startedAt: STARTED, result: null, error: null });
    expect(waiting.raw).toMatch(/^waits for room on the disk: 2 bytes are to be fetched, /);
    rig.time.advance(3_600_000);
    expect(await look()).toMatchObject({ phase: 'starting' });
    expect(rig.logged).toEqual(['not everything that a machine has sent has room here']);
    rig.holdBack(0);
    const status = await lookUntil(({ phase }) => phase === 'exited');
    expect(status.result).toMatchObject({ kind: 'read', result: { exitCode: 0, error: null } });
  });

  it.each([
    ['an output', 'outputs/a.json'],
    ['a checkpoint', 'checkpoints/00000001-state/manifest.json'],
  ])('ends when it is canceled, though %s has no room here', async (_what, key) => {
    rig.assign(true);
    const sha256 = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
    const object = `${rig.prefix}outputs/a.json`;
    const output = { path: 'attempt/outputs/a.json', kind: 'file', object, size: 2, sha256 };
    await rig.put('exit.json', exit({ outputs: key === 'outputs/a.json' ? [output] : [] }));
    await rig.put(key, '{}');
    rig.holdBack(Number.MAX_SAFE_INTEGER);
    rig.change({ event: 'drain', claimed: true });
    await lookUntil(({ raw }) => raw.startsWith('waits'));
    await rig.deps.stopper.terminate(HANDLE, { graceSeconds: 1, reason: 'cancel' });
    const { result } = await lookUntil(({ phase }) => phase === 'exited');
    const stoppedBy = key === 'outputs/a.json' ? 'cancel' : null;
    expect(result).toMatchObject({ kind: 'read', result: { stoppedBy, error: null } });
  });

  it('goes on, watched as ever, while a checkpoint waits for room here', async () => {
    rig.assign(true);
    await rig.put('wrapper.json', wrapper());
    await rig.put('checkpoints/00000001-state/manifest.json', '{"files": []}');
    rig.holdBack(Number.MAX_SAFE_INTEGER);
    const waiting = await lookUntil(({ raw }) => raw.startsWith('waits'));
    expect(waiting).toMatchObject({ phase: 'running', startedAt: STARTED });
    await rig.put('control/heartbeat', 'beat');
    await lookUntil(() => existsSync(rig.folders.heartbeat));
    rig.holdBack(0);
    await lookUntil(({ raw }) => raw === 'busy');
    expect(existsSync(`${rig.folders.checkpoints}/00000001-state/manifest.json`)).toBe(true);
  });

  it('tells of an output that is not what the machine sent', async () => {
    rig.assign(true);
    const output = {
      path: 'attempt/outputs/a.json',
      kind: 'file',
      object: `${rig.prefix}outputs/a.json`,
      size: 2,
    };
    await rig.put('exit.json', exit({ outputs: [{ ...output, sha256: '0'.repeat(64) }] }));
    await rig.put('outputs/a.json', '{}');
    rig.change({ event: 'drain', claimed: true });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      result: { failedStep: 'upload', error: 'a.json is not what the machine sent.' },
    });
  });

  it.each([
    '../out.json',
    'attempt/outputs/../../out.json',
    'attempt/outputs//out.json',
    'attempt/outputs/',
    '/etc/out.json',
  ])('brings no output to %s', async (path) => {
    rig.assign(true);
    const object = `${rig.prefix}outputs/a.json`;
    await rig.put('outputs/a.json', '{}');
    await rig.put(
      'exit.json',
      exit({ outputs: [{ path, kind: 'file', object, size: 2, sha256: '0'.repeat(64) }] }),
    );
    rig.change({ event: 'drain', claimed: true });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      result: {
        failedStep: 'upload',
        error: `The machine names an output that is none: ${JSON.stringify(path)}.`,
      },
    });
  });

  it('says why an output is missing that the machine would not send', async () => {
    rig.assign(true);
    const problems = [{ path: 'attempt/outputs/a', message: 'is a link, or lies behind one' }];
    await rig.put('exit.json', exit({ problems }));
    rig.change({ event: 'drain', claimed: true });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      result: { error: 'outputs/a is a link, or lies behind one.' },
    });
  });

  it('is judged by no passing time while its machine sends what it made, and has begun', async () => {
    rig.assign(true);
    await rig.put('wrapper.json', wrapper());
    await lookUntil(({ phase }) => phase === 'running');
    const letter = {
      schema: 1,
      worker: WORKER,
      boot: 1,
      phase: 'sending',
      number: 1,
      job: 'claimed',
      leaves: null,
      publicKey: null,
      at: '2026-01-01T00:00:00.000Z',
    };
    rig.change({ sighting: { letter: { generation: '1', content: letter } } });
    expect(await look()).toMatchObject({ phase: 'starting', raw: 'sending', startedAt: STARTED });
    await rig.deps.stopper.terminate(HANDLE, { reason: 'timeout', graceSeconds: 1 });
    rig.time.advance(1_000_000);
    await rig.deps.stopper.terminate(HANDLE, { reason: 'timeout', graceSeconds: 1 });
    expect(rig.released).toEqual([]);
  });

  it('has begun where its program was over before anybody saw it', async () => {
    rig.assign(true);
    rig.change({ event: 'drain', claimed: true });
    expect(await look()).toMatchObject({ phase: 'starting', raw: 'ended', startedAt: expect.any(String) });
  });

  it('tells of an output that is not in the bucket any more', async () => {
    rig.assign(true);
    const object = `${rig.prefix}outputs/a.json`;
    const output = { path: 'attempt/outputs/a.json', kind: 'file', object, size: 2, sha256: '0'.repeat(64) };
    await rig.put('exit.json', exit({ outputs: [output] }));
    rig.change({ event: 'drain', claimed: true });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      result: { failedStep: 'upload', error: 'a.json is not in the bucket any more.' },
    });
  });

  it('is lost when its machine is, and says why; a result that came before counts', async () => {
    rig.assign(true);
    rig.change({ event: 'delete', reason: 'silent' });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      kind: 'read',
      result: {
        lost: true,
        stoppedBy: null,
        failedStep: null,
        error: 'Its machine is gone. It was not heard of for too long.',
      },
    });
  });

  it('was preempted where the provider took the machine back', async () => {
    rig.assign(true);
    rig.change({ event: 'vanish', reason: 'preempted' });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      result: { lost: true, failedStep: 'preempted' },
    });
  });

  it('counts as stopped where it was asked to end and its machine went with it', async () => {
    rig.assign(true);
    await rig.deps.stopper.terminate(HANDLE, { reason: 'timeout', graceSeconds: 1 });
    rig.change({ event: 'delete', reason: 'run_stopped' });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      result: { lost: false, stoppedBy: 'timeout', failedStep: null },
    });
  });

  it('takes the result of the machine rather than the loss of it', async () => {
    rig.assign(true);
    await rig.put('exit.json', exit({ exitCode: 3 }));
    rig.change({ event: 'vanish', reason: 'vanished' });
    expect((await lookUntil(({ phase }) => phase === 'exited')).result).toMatchObject({
      result: { lost: false, exitCode: 3 },
    });
  });

  it('reads the result of another attempt as garbled', async () => {
    rig.assign(true);
    writeFileSync(rig.folders.result, exit({ attempt: 2 }));
    expect((await look()).result).toMatchObject({ kind: 'garbled' });
  });
});
