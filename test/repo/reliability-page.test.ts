import { describe, expect, it } from 'vitest';
import type { PartRecord } from '../../scripts/fault-parts.ts';
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
const PASSED: PartRecord = {
  part: 'storm/one.test.ts',
  passed: true,
  seconds: 1200,
  outcomes: [KEPT],
  skipped: [],
};
const FACTS = { seed: 7, commit: '0123456789ab', machine: 'Linux 6.1, 2 processors, Node 24.21.0' };

describe('the page of what was broken on purpose', () => {
  it('says commit, seed and machine, and of each promise what was tried and what held', () => {
    const other = { ...PASSED, part: 'storm/two.test.ts', seconds: 600 };
    const page = reliabilityPage({ ...FACTS, records: [PASSED, other] });
    expect(page).toContain('| commit | `0123456789ab` |\n| seed | 7 |\n');
    expect(page).toContain('| took | 1800 s |\n| held | 1000 of 1000 trials |\n');
    expect(page).toContain('## No run is executed twice, counted outside Goldfish\n');
    expect(page).toContain(
      '| server or supervisor killed | process | 500 | 100 % | 212 kills \\| 3 at once |\n',
    );
    // A promise that no fault tried makes no claim.
    expect(page).not.toContain('## Outputs');
    expect(page).not.toContain('Not tried');
  });

  it('shows a promise that was broken, a part that failed, and what was not tried', () => {
    const outcomes = [KEPT, { ...KEPT, promise: 'outputs' as const, held: 499 }];
    const skipped = ['a disk without room (needs to mount: run as root)'];
    const page = reliabilityPage({ ...FACTS, records: [{ ...PASSED, passed: false, outcomes, skipped }] });
    expect(page).toContain('| held | 999 of 1000 trials; **failed: storm/one.test.ts** |\n');
    expect(page).toContain(
      '| server or supervisor killed | process | 500 | **499** | 212 kills \\| 3 at once |\n',
    );
    expect(page).toContain(
      '## Not tried on this machine\n\n* a disk without room (needs to mount: run as root)\n',
    );
  });
});
