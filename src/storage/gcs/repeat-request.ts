import { randomInt } from 'node:crypto';
import type { z } from 'zod';
import type { GcsBucket } from './gcs-bucket.ts';
import { isPassing } from './gcs-failure.ts';
import { parseAnswer } from './object-resource.ts';
import { type Attempt, type GcsRequest, sendRequest } from './send-request.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;
/** No single attempt may use up the budget: a connection that died without a word is noticed and made anew. */
const ATTEMPTS_IN_BUDGET = 3;

export type Step = {
  signal?: AbortSignal;
  /** Told of each attempt that failed for a reason that passes. */
  onFailure?: (error: unknown) => void;
};

/**
 * Repeats what fails for a reason that passes, with growing pauses, until the bucket's budget is used up; then the
 * last failure is thrown. Only what may be done twice is handed to it. Nothing else repeats requests: the client's own
 * way is one switch for all calls, which a call without a condition turns off.
 */
export async function repeatRequest<T>(
  bucket: GcsBucket,
  { signal, onFailure }: Step,
  work: (attempt: Attempt & { number: number }) => Promise<T>,
): Promise<T> {
  const { clock, budgetMs } = bucket;
  // Importing the client is no attempt.
  await bucket.transport();
  const deadline = clock.monotonic() + budgetMs;
  for (let number = 1; ; number += 1) {
    signal?.throwIfAborted();
    const rest = Math.max(1, deadline - clock.monotonic());
    const limitMs = Math.min(rest, budgetMs / ATTEMPTS_IN_BUDGET);
    try {
      return await work({ number, limitMs, ...(signal ? { signal } : {}) });
    } catch (error) {
      if (!isPassing(error)) throw error;
      onFailure?.(error);
      const pause = pauseAfter(number);
      if (clock.monotonic() + pause >= deadline) throw error;
      await clock.sleep(pause, signal ? { signal } : {});
    }
  }
}

/** One request, repeated, and its answer as what it must be. */
export function askService<T>(
  bucket: GcsBucket,
  step: Step,
  request: GcsRequest,
  schema: z.ZodType<T>,
): Promise<T> {
  return repeatRequest(bucket, step, async (attempt) => {
    const { text } = await sendRequest(bucket, request, attempt);
    return parseAnswer(schema, text);
  });
}

/** Between half and all of a doubling time, so that those who failed together do not come back together. */
function pauseAfter(attempts: number): number {
  const most = Math.min(FIRST_PAUSE_MS * 2 ** (attempts - 1), LONGEST_PAUSE_MS);
  return randomInt(most / 2, most + 1);
}
