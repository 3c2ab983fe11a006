import { describe, expect, it } from 'vitest';
import { withinLimit } from '../../../src/backends/gce/call-limit.ts';

/** Work that does not heed its signal. */
const endless = () => new Promise<never>(() => undefined);

describe('a call', () => {
  it('ends when its time is over, whatever it is doing', async () => {
    await expect(withinLimit({ limitMs: 20, signal: undefined }, endless)).rejects.toMatchObject({
      name: 'ComputeFailure',
      status: undefined,
      message: 'Compute Engine did not answer within 0.02 s.',
    });
  });

  it('ends when it is aborted, with the reason of that', async () => {
    const stop = new AbortController();
    const reason = new Error('called off');
    const call = withinLimit({ limitMs: 60_000, signal: stop.signal }, endless);
    stop.abort(reason);
    await expect(call).rejects.toBe(reason);
  });

  it('tells its work of either end', async () => {
    const stop = new AbortController();
    const heeding = (limitMs: number, signal: AbortSignal | undefined) => {
      const heard = Promise.withResolvers<unknown>();
      const call = withinLimit({ limitMs, signal }, (ended) => {
        ended.addEventListener('abort', () => heard.resolve(ended.reason));
        return endless();
      });
      return { heard: heard.promise, call: call.catch(() => undefined) };
    };
    expect(await heeding(20, undefined).heard).toMatchObject({ name: 'TimeoutError' });
    const { heard } = heeding(60_000, stop.signal);
    stop.abort('called off');
    expect(await heard).toBe('called off');
  });

  it('has the end of its work where that comes first', async () => {
    const { signal } = new AbortController();
    expect(await withinLimit({ limitMs: 60_000, signal }, async () => 'done')).toBe('done');
    const failure = new Error('refused');
    await expect(withinLimit({ limitMs: 60_000, signal }, () => Promise.reject(failure))).rejects.toBe(
      failure,
    );
  });
});
