import { describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import type { SupervisorLease } from '../../src/core/rows.ts';
import { currentProcess } from '../../src/os/process-identity.ts';
import { mayTakeOver } from '../../src/runs/take-over.ts';
import { NOTHING_TO_TEND, type Tending } from '../../src/runs/tending.ts';
import { createTestClock } from '../support/test-clock.ts';

const { clock } = createTestClock();
const { pid, start, bootId } = currentProcess();
const MINE = '1.2.0';

/** Held by a process that lives and renews. */
function leaseOf(goldfishVersion: string | null): SupervisorLease {
  const at = isoTime(clock.now());
  const holder = { pid, pidStart: start, bootId, goldfishVersion };
  return { ...holder, token: 1, socket: null, acquiredAt: at, heartbeatAt: at };
}

/** What is to be looked after, by whom it can be: us, and the holder of the lease. */
function tending(ours: boolean, theirs: boolean | undefined, isDue = true): Tending {
  return { ...NOTHING_TO_TEND, isDue: () => isDue, isPossible: (of) => (of === undefined ? ours : theirs) };
}

const may = (of: Tending, version = MINE): boolean =>
  mayTakeOver(leaseOf(version), { clock, version: MINE, tending: of });

describe('the lease of a supervisor that is at work', () => {
  it('is taken by a newer program, and by no other', () => {
    expect(['1.1.9', '1.2.0', '1.2.1'].map((version) => may(NOTHING_TO_TEND, version))).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('is taken by whoever can look after what it cannot, of whatever version', () => {
    for (const version of ['1.1.9', '1.2.0', '1.2.1']) {
      expect([version, may(tending(true, false), version)]).toEqual([version, true]);
      // And never back: of two programs one at most may take it from the other.
      expect([version, may(tending(false, true), version)]).toEqual([version, false]);
    }
  });

  it.each([
    ['both can', tending(true, true)],
    ['neither can', tending(false, false)],
    ['nobody can say', tending(true, undefined)],
    ['nothing is to be looked after', tending(true, false, false)],
  ])('is a matter of versions alone where %s', (_, of) => {
    expect(['1.1.9', '1.2.0', '1.2.1'].map((version) => may(of, version))).toEqual([true, false, false]);
  });
});

it('may be taken by anybody where its holder is gone, or has not renewed', () => {
  const claimant = { clock, version: MINE, tending: tending(false, true) };
  expect(mayTakeOver({ ...leaseOf(MINE), pid: null }, claimant)).toBe(true);
  expect(mayTakeOver({ ...leaseOf(MINE), pidStart: '1' }, claimant)).toBe(true);
  const late = isoTime(clock.now() - 15_000);
  expect(mayTakeOver({ ...leaseOf(MINE), heartbeatAt: late }, claimant)).toBe(true);
});
