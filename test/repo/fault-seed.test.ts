import { describe, expect, it } from 'vitest';
import { CONSTANT_SEED, seedOfCommit } from '../../scripts/fault-seed.ts';

describe('the seed of the faults', () => {
  it('is the beginning of the commit, a number that every generator takes', () => {
    const rest = '0'.repeat(32);
    expect(seedOfCommit(`0000002a${rest}`)).toBe(42);
    expect(seedOfCommit(`ffffffff${rest}\n`)).toBe(2 ** 32 - 1);
    expect(seedOfCommit(`1234abcd${'e'.repeat(32)}`)).toBe(0x1234abcd);
  });

  it('is another one for another commit, and the same for the same', () => {
    const commits = ['c0ffee00', 'c0ffee01'].map((first) => first.padEnd(40, '1'));
    const seeds = [...commits, ...commits].map(seedOfCommit);
    expect(new Set(seeds).size).toBe(2);
    expect(seeds.slice(0, 2)).toEqual(seeds.slice(2));
  });

  it.each([undefined, '', 'HEAD', 'fatal: not a git repository', 'bc080f9', 'main'])(
    'is constant where there is no commit: %s',
    (head) => {
      expect(seedOfCommit(head)).toBe(CONSTANT_SEED);
    },
  );
});
