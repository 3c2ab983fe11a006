import { describe, expect, it } from 'vitest';
import { reliabilityPage } from '../../scripts/reliability-page.ts';
import type { Outcome } from '../faults/kit/promises.ts';

const KEPT: Outcome = {
  fault: 'server or supervisor killed',
  promise: 'once',
  backend: 'process',
  trials: 500,
  held: 500,
  note: '212 kills | 3 at once',
};
const FACTS = {
  seed: 7,
  commit: '0123456789ab',
  changed: false,
  seconds: 1800,
  machine: 'Linux 6.1, 2 processors, Node 24.21.0',
  passed: true,
};

describe('the page of what was broken on purpose', () => {
  it('says commit, seed and machine, and of each promise what was tried and what held', () => {
    const page = reliabilityPage({ ...FACTS, outcomes: [KEPT] });
    expect(page).toContain('| commit | `0123456789ab` |\n| seed | 7 |\n');
    expect(page).toContain('| held | 500 of 500 trials |\n');
    expect(page).toContain('## No run is executed twice, counted outside Goldfish\n');
    expect(page).toContain(
      '| server or supervisor killed | process | 500 | 100 % | 212 kills \\| 3 at once |\n',
    );
    // A promise that no fault tried makes no claim.
    expect(page).not.toContain('## Outputs');
  });

  it('shows a promise that was broken, a suite that failed, and a work tree that differed', () => {
    const outcomes = [KEPT, { ...KEPT, promise: 'outputs' as const, held: 499 }];
    const page = reliabilityPage({ ...FACTS, outcomes, changed: true, passed: false });
    expect(page).toContain('| commit | `0123456789ab`, with changes that are not committed |\n');
    expect(page).toContain('| held | 999 of 1000 trials; **the suite failed** |\n');
    expect(page).toContain(
      '| server or supervisor killed | process | 500 | **499** | 212 kills \\| 3 at once |\n',
    );
  });
});
