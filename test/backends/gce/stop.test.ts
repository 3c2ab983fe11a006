import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanUpAttempt } from '../../../src/backends/gce/stop.ts';
import { runResult } from '../../support/run-result.ts';
import { createRentedRig, HANDLE, type RentedRig } from './rented-rig.ts';

const RESULT = JSON.stringify(runResult(HANDLE));

let rig: RentedRig;
beforeEach(() => {
  rig = createRentedRig();
});
afterEach(() => rig.dispose());

const stop = (graceSeconds = 10): Promise<void> =>
  rig.deps.stopper.terminate(HANDLE, { reason: 'cancel', graceSeconds });
const request = (): unknown => {
  const text = rig.bucket.text(`${rig.prefix}control-in/stop.json`);
  return text === undefined ? undefined : JSON.parse(text);
};

describe('stopping', () => {
  it('leaves a request in the bucket; a later one can only shorten the time', async () => {
    rig.assign(true);
    await stop(10);
    expect(request()).toEqual({ reason: 'cancel', graceSeconds: 10 });
    await rig.deps.stopper.terminate(HANDLE, { reason: 'timeout', graceSeconds: 2 });
    expect(request()).toEqual({ reason: 'cancel', graceSeconds: 2 });
    await stop(60);
    expect(request()).toEqual({ reason: 'cancel', graceSeconds: 2 });
  });

  it('asks nothing of a machine that has not begun', async () => {
    rig.assign(false);
    await stop();
    expect(request()).toBeUndefined();
  });

  it('keeps nobody waiting for a bucket that does not answer, and gets through when it does', async () => {
    rig.assign(true);
    rig.bucket.out = true;
    await stop();
    expect(request()).toBeUndefined();
    rig.bucket.out = false;
    await expect.poll(request).toEqual({ reason: 'cancel', graceSeconds: 10 });
  });

  it('gives the machine up that does not end it', async () => {
    rig.assign(true);
    await stop(10);
    rig.time.advance(180_000);
    await stop(10);
    expect(rig.released).toEqual([]);
    rig.time.advance(10_000);
    await stop(10);
    expect(rig.released).toEqual([{ runId: HANDLE.runId, attempt: 1, ended: false }]);
  });
});

describe('cleaning up', () => {
  it('removes what was exchanged, and keeps claims and the result', async () => {
    rig.assign(true);
    for (const key of [
      'job.json',
      'exit.json',
      'claims/w-1.json',
      'outputs/a',
      'log/0.log/0',
      'sealed/w-1.json',
    ])
      await rig.put(key, '{}');
    rig.change({ event: 'drain', claimed: true });
    // It has ended, and what it made is not here yet.
    expect(await cleanUpAttempt(rig.deps, HANDLE)).toBe('unconfirmed');
    expect(rig.bucket.keys()).toHaveLength(6);
    writeFileSync(rig.folders.result, RESULT);
    expect(await cleanUpAttempt(rig.deps, HANDLE)).toBe('released');
    expect(rig.bucket.keys().sort()).toEqual([`${rig.prefix}claims/w-1.json`, `${rig.prefix}exit.json`]);
    expect(await cleanUpAttempt(rig.deps, HANDLE)).toBe('released');
  });

  it('is not certain while a machine that may still run it is not gone', async () => {
    rig.assign(true);
    rig.change({ event: 'delete', reason: 'run_stopped' });
    expect(await cleanUpAttempt(rig.deps, HANDLE)).toBe('unconfirmed');
    rig.change({ event: 'vanish' });
    expect(await cleanUpAttempt(rig.deps, HANDLE)).toBe('released');
  });

  it('is not certain where the bucket does not answer', async () => {
    rig.assign(true);
    await rig.put('job.json', '{}');
    rig.change({ event: 'drain', claimed: true });
    writeFileSync(rig.folders.result, RESULT);
    rig.bucket.out = true;
    expect(await cleanUpAttempt(rig.deps, HANDLE)).toBe('unconfirmed');
  });
});
