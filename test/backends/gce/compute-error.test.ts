import { describe, expect, it } from 'vitest';
import type { ComputeFailure } from '../../../src/backends/gce/compute-calls.ts';
import { computeFailure, credentialsFailure } from '../../../src/backends/gce/compute-error.ts';

const told = ({ status, reason, message }: ComputeFailure) => [status, reason, message];
const error = (fields: object, message = 'vendor words', cause?: unknown): Error =>
  Object.assign(new Error(message, { cause }), fields);
const errno = (code: string): Error => error({ code });

describe('what the client throws', () => {
  const ANSWER = Symbol.for('google-gax.rawHttpResponsePayload');

  it.each([
    [{ httpStatusCode: 412, code: 9 }, 412],
    [{ code: 404 }, 404],
    [{ code: 3 }, 400],
    [{ code: 5 }, 404],
    [{ code: 7 }, 403],
    [{ code: 8 }, 429],
    [{ code: 10 }, 409],
    [{ code: 13 }, 500],
    [{ code: 16 }, 401],
  ])('has the status that its numbers mean: %j', (fields, status) => {
    expect(told(computeFailure(error(fields)))).toEqual([
      status,
      undefined,
      `Compute Engine answered with HTTP ${status}.`,
    ]);
  });

  it('has the words of the service, whichever list of reasons it gives', () => {
    const refusal = { message: 'No.', errors: [{ reason: 'quotaExceeded', domain: 'global' }] };
    const fields = { httpStatusCode: 403, code: 7, reason: 'QUOTA' };
    const answered = (answer: unknown) => told(computeFailure(error({ ...fields, [ANSWER]: answer })));
    expect(answered({ error: refusal })).toEqual([403, 'quotaExceeded', 'No.']);
    expect(answered(JSON.stringify({ error: refusal }))).toEqual([403, 'quotaExceeded', 'No.']);
    expect(answered('{"error": {"message": "No."}}')).toEqual([403, 'QUOTA', 'No.']);
    expect(answered('<html>')).toEqual([403, 'QUOTA', 'Compute Engine answered with HTTP 403.']);
  });

  it('has no status where there was no answer', () => {
    const broken = 'The connection to Compute Engine broke';
    const lost = error({ code: 14 }, 'socket hang up', error({ code: 'ERR_OTHER' }, 'x', errno('EPIPE')));
    expect(told(computeFailure(lost))).toEqual([undefined, undefined, `${broken} (EPIPE).`]);
    const late = computeFailure(error({ code: 4 }));
    expect(told(late)).toEqual([undefined, undefined, `${broken} (no whole answer).`]);
    expect(late.cause).toMatchObject({ message: 'vendor words' });
  });

  it('is our own mistake where nothing was sent', () => {
    expect(told(computeFailure(new TypeError('.labels: object expected')))).toEqual([
      400,
      'invalid',
      'The request to Compute Engine could not be written: .labels: object expected',
    ]);
  });
});

describe('what the search for credentials throws', () => {
  it.each([
    [{ config: {} }, 'no answer'],
    [{ config: {}, code: 'ENOTFOUND' }, 'ENOTFOUND'],
    [{ config: {}, response: { status: 503 } }, 'HTTP 503'],
    [{ config: {}, response: { status: 429 } }, 'HTTP 429'],
  ])('may pass: %j', (fields, why) => {
    const failure = credentialsFailure(error(fields));
    expect(told(failure)).toEqual([undefined, undefined, `Google gave Goldfish no access token (${why}).`]);
  });

  it.each([{}, { code: 'ENOENT' }, { config: {}, response: { status: 400 } }])(
    'has to be looked at: %j',
    (fields) => {
      const failure = credentialsFailure(error(fields));
      const message = 'Goldfish found no valid credentials for Google Cloud.';
      expect(told(failure)).toEqual([401, 'noCredentials', message]);
    },
  );
});
