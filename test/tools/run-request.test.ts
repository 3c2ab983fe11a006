import { describe, expect, it } from 'vitest';
import { type RunInput, runInput, toRequest } from '../../src/tools/run-request.ts';

const CALL = { workspace: 'exp', reason: 'Find out whether it works' };
const argumentsOf = (given: Partial<RunInput>) =>
  toRequest({ ...CALL, idempotency_key: 'k', ...given }).idempotency?.arguments;

describe('two calls of one key', () => {
  it('are the same whether or not they wait or only look', () => {
    expect(argumentsOf({ wait_seconds: 30, dry_run: true })).toEqual(CALL);
  });

  it('are the same where one says what the other leaves out', () => {
    expect(argumentsOf({ use_cache: true, replicate: 1 })).toEqual(CALL);
    expect(argumentsOf({ use_cache: false, replicate: 2 })).toEqual({
      ...CALL,
      use_cache: false,
      replicate: 2,
    });
  });

  it('differ in everything else, by the names a caller uses', () => {
    const given = {
      stages: ['train'],
      config_override: { train: { lr: 0.1 } },
      inputs_override: { train: { data: 'digits@v2' } },
      group: 'g',
      max_restarts: 0,
    };
    expect(argumentsOf(given)).toEqual({ ...CALL, ...given });
  });
});

describe('a key', () => {
  it.each(['k', 'a b/c:d', '~'.repeat(128)])('may be %j', (key) => {
    expect(runInput.safeParse({ ...CALL, idempotency_key: key }).success).toBe(true);
  });

  it.each(['', 'x'.repeat(129), 'tab\there', 'line\n', 'ü'])('may not be %j', (key) => {
    const parsed = runInput.safeParse({ ...CALL, idempotency_key: key });
    expect(parsed.error?.issues.map(({ message }) => message)).toEqual([
      'must be 1 to 128 printable ASCII characters',
    ]);
  });
});

describe('the number of replicates', () => {
  it.each([0, 101, 1.5])('may not be %d', (replicate) => {
    expect(runInput.safeParse({ ...CALL, replicate }).success).toBe(false);
  });
});
