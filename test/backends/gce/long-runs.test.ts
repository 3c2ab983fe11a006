import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { jobRequest, profileOf } from '../../../src/backends/gce/job-request.ts';
import type { RunSpec } from '../../../src/backends/port.ts';
import { USUAL_POLICY } from '../../../src/pool/policy.ts';
import { createRentedRig, HANDLE } from './rented-rig.ts';

const PAGE = new URL('../../../docs/gce.md', import.meta.url);

it('may begin on a machine that was kept with as long a time limit as docs/gce.md says, and no longer one', () => {
  const { deps, dispose } = createRentedRig();
  try {
    const fits = (hours: number): boolean => {
      const spec = { ...HANDLE, timeoutSeconds: hours * 3_600, stopGraceSeconds: 30 } as unknown as RunSpec;
      const kind = { ...profileOf(deps, 'default'), program: 'p', digest: 'sha256:d' };
      return jobRequest(deps, spec, kind).maxSeconds <= USUAL_POLICY.keptSeconds;
    };
    expect([22, 23].map(fits)).toEqual([true, false]);
    const says = 'above 22 hours never begins on a machine that was kept';
    expect(readFileSync(PAGE, 'utf8')).toContain(says);
  } finally {
    dispose();
  }
});
