import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createGceBackend } from '../../../src/backends/gce/gce-backend.ts';
import { instanceBody } from '../../../src/backends/gce/instance-body.ts';
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

/** cloud.google.com/compute/docs/instances/limit-vm-runtime */
const SERVICE_ALLOWS = 120 * 24 * 3_600;

it('may take as long as its machine can be had for, with what is around it, and not a second more', () => {
  const { deps, dispose } = createRentedRig();
  try {
    const longest = createGceBackend(deps).backend.capabilities.longestSeconds ?? 0;
    const kind = { ...profileOf(deps, 'default'), program: 'p', digest: 'sha256:d' };
    const spec = { ...HANDLE, timeoutSeconds: longest - 30, stopGraceSeconds: 30 } as unknown as RunSpec;
    expect(jobRequest(deps, spec, kind).maxSeconds).toBe(SERVICE_ALLOWS);
    expect(readFileSync(PAGE, 'utf8')).toContain('Nothing runs for more than 120 days');
  } finally {
    dispose();
  }
});

it.each([
  ['for one run', true, SERVICE_ALLOWS],
  ['that is kept for others afterwards', false, SERVICE_ALLOWS + USUAL_POLICY.keptSeconds],
])(
  'never asks for a machine %s that lives longer than the service allows',
  (_which, singleUse, maxSeconds) => {
    const { deps, dispose } = createRentedRig();
    try {
      const { profile } = profileOf(deps, 'default');
      const settings = {
        project: 'p',
        network: 'default',
        subnetwork: null,
        externalAddress: true,
        serviceAccount: 'default',
        startupScript: '',
        settings: {},
      };
      const of = { id: 'goldfish-1', profileName: 'cpu-small', profile, zone: 'us-central1-a' };
      const body = instanceBody(settings, { ...of, model: 'standard', maxSeconds, singleUse });
      const worker = JSON.parse(
        body.metadata.items.find(({ key }) => key === 'goldfish-worker')?.value ?? '{}',
      );
      expect([body.scheduling.maxRunDuration, worker.lifeSeconds]).toEqual([
        { seconds: `${SERVICE_ALLOWS}` },
        SERVICE_ALLOWS,
      ]);
    } finally {
      dispose();
    }
  },
);
