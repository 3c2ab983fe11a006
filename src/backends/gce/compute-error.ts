import { z } from 'zod';
import { errnoBehind, messageOf } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { ComputeFailure, NO_CREDENTIALS } from './compute-calls.ts';

/** Beside its own number for a refusal, which says less, the vendor's client keeps what the service answered. */
const WHOLE_ANSWER = Symbol.for('google-gax.rawHttpResponsePayload');

const refusalSchema = z.object({
  error: z.object({
    message: z.string(),
    errors: z.array(z.object({ reason: z.string().optional() })).default([]),
  }),
});

/** What the client's numbers mean where no HTTP status stands beside them. */
const STATUS_OF_NUMBER: Readonly<Record<number, number>> = {
  3: 400,
  5: 404,
  6: 409,
  7: 403,
  8: 429,
  9: 400,
  10: 409,
  13: 500,
  16: 401,
};

/** Whatever a request of the vendor's client threw, as the port promises it. */
export function computeFailure(error: unknown): ComputeFailure {
  const status = statusOf(error);
  if (status === undefined) return unanswered(error);
  const told = refusalIn(field(error, WHOLE_ANSWER));
  const reason = told?.errors[0]?.reason ?? textOf(field(error, 'reason'));
  // What stands before the service answers in a page for people.
  const message = told?.message ?? `Compute Engine answered with HTTP ${status}.`;
  return new ComputeFailure({ message, status, reason, cause: error });
}

/** Of the account that requests are signed for, or of the place that gives out its tokens. */
export function credentialsFailure(error: unknown): ComputeFailure {
  const answer = statusOfResponse(error);
  // The client wraps what the network says, but not what it says itself: that it finds no account, or a bad file.
  const isFromNetwork = error instanceof Error && 'config' in error;
  if (isFromNetwork && (answer === undefined || answer === 429 || answer >= 500)) {
    const why = answer === undefined ? (errnoBehind(error) ?? 'no answer') : `HTTP ${answer}`;
    return new ComputeFailure({
      message: `Google gave Goldfish no access token (${why}).`,
      cause: error,
    });
  }
  return new ComputeFailure({
    message: 'Goldfish found no valid credentials for Google Cloud.',
    status: 401,
    reason: NO_CREDENTIALS,
    cause: error,
  });
}

function unanswered(error: unknown): ComputeFailure {
  const errno = errnoBehind(error);
  // Without a number of its own it was thrown before anything was sent.
  if (typeof field(error, 'code') !== 'number' && errno === undefined) {
    const message = `The request to Compute Engine could not be written: ${messageOf(error)}`;
    return new ComputeFailure({ message, status: 400, reason: 'invalid', cause: error });
  }
  const message = `The connection to Compute Engine broke (${errno ?? 'no whole answer'}).`;
  return new ComputeFailure({ message, cause: error });
}

function statusOf(error: unknown): number | undefined {
  const status = field(error, 'httpStatusCode');
  if (typeof status === 'number') return status;
  const code = field(error, 'code');
  if (typeof code !== 'number') return undefined;
  return code >= 100 ? code : STATUS_OF_NUMBER[code];
}

/** It is text, or read already. */
function refusalIn(answer: unknown): z.infer<typeof refusalSchema>['error'] | undefined {
  return refusalSchema.safeParse(typeof answer === 'string' ? parseJson(answer) : answer).data?.error;
}

function statusOfResponse(error: unknown): number | undefined {
  const status = field(field(error, 'response'), 'status');
  return typeof status === 'number' ? status : undefined;
}

function field(value: unknown, name: string | symbol): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
