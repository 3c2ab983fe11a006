import { untilAborted } from '../../core/until-aborted.ts';
import { ComputeFailure } from './compute-calls.ts';

export type CallLimit = {
  /** For everything that the call does, in milliseconds. */
  limitMs: number;
  signal: AbortSignal | undefined;
};

/**
 * Ends with the work, with the caller's abort or with the time, whichever comes first: not all that is done for a call
 * can be ended, such as looking for credentials.
 * Errors: those of the work; ComputeFailure without a status when the time is over; whatever the signal was aborted with.
 */
export async function withinLimit<T>(
  { limitMs, signal }: CallLimit,
  work: (ended: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const time = AbortSignal.timeout(limitMs);
  const ended = AbortSignal.any(signal ? [signal, time] : [time]);
  try {
    return await untilAborted(work(ended), ended);
  } catch (error) {
    signal?.throwIfAborted();
    if (time.aborted) {
      throw new ComputeFailure({
        message: `Compute Engine did not answer within ${limitMs / 1000} s.`,
        cause: error,
      });
    }
    throw error;
  }
}
