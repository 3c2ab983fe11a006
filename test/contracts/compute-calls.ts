import { describe, expect, it } from 'vitest';
import { A, B, type ComputeHarness, failureOf, insertion, opened, serialLine } from './compute-calls-kit.ts';
import { listsOf } from './compute-calls-lists.ts';
import { type ServiceHarness, serviceOf } from './compute-calls-service.ts';
import { troubleOf } from './compute-calls-trouble.ts';

/** Every promise of src/backends/gce/compute-calls.ts, kept against the simulated service. */
export function describeComputeCalls(name: string, harness: ComputeHarness): void {
  describe(`${name} as the calls of the Compute API`, () => {
    serviceOf(asService(harness));
    machinesOf(harness);
    listsOf(harness);
    troubleOf(harness);
  });
}

/** The simulated one as what a real one is, too. */
function asService({ open }: ComputeHarness): ServiceHarness {
  return {
    zones: [A, B],
    open: async () => {
      const { calls, settled, dispose } = await open();
      return { calls, settled, insertion, nameOf: (name) => name, filter: 'labels.run=r1', dispose };
    },
  };
}

function machinesOf(harness: ComputeHarness): void {
  describe('a machine', () => {
    const at = opened(harness);

    it('is the one that was asked for', async () => {
      const change = {
        machineType: `zones/${A}/machineTypes/n1-standard-4`,
        labels: { run: 'r1', 'goldfish-project': 'p1' },
        metadata: {
          items: [
            { key: 'startup-script', value: '#!/usr/bin/python3\nprint("ä €\\n")\n' },
            { key: 'large', value: 'x'.repeat(100_000) },
          ],
        },
        networkInterfaces: [
          {
            network: 'global/networks/default',
            subnetwork: 'regions/us-central1/subnetworks/default',
            accessConfigs: [{ type: 'ONE_TO_ONE_NAT' as const, name: 'External NAT' }],
          },
        ],
        serviceAccounts: [{ email: 'worker@demo.iam.gserviceaccount.com', scopes: ['https://scope'] }],
        scheduling: {
          provisioningModel: 'SPOT' as const,
          onHostMaintenance: 'TERMINATE' as const,
          automaticRestart: false as const,
          instanceTerminationAction: 'DELETE' as const,
          maxRunDuration: { seconds: '86400' },
        },
        guestAccelerators: [
          { acceleratorType: `zones/${A}/acceleratorTypes/nvidia-tesla-t4`, acceleratorCount: 2 },
        ],
        reservationAffinity: { consumeReservationType: 'NO_RESERVATION' as const },
      };
      await at.start('m1', change);
      expect(at.simulator.instances()).toMatchObject([
        {
          name: 'm1',
          machineType: expect.stringMatching(/\/machineTypes\/n1-standard-4$/),
          labels: change.labels,
          metadata: { items: change.metadata.items },
          networkInterfaces: change.networkInterfaces,
          serviceAccounts: change.serviceAccounts,
          scheduling: change.scheduling,
          guestAccelerators: [{ acceleratorCount: 2 }],
          disks: [{ boot: true, autoDelete: true, deviceName: 'boot', diskSizeGb: '20' }],
        },
      ]);
    });
  });

  describe('the serial port of a machine', () => {
    const at = opened(harness);

    it('shows all that a short boot wrote', async () => {
      await at.start('m1');
      expect(await at.calls.serialOutput({ zone: A, name: 'm1' })).toBe(`${serialLine(1)}\n`);
    });

    it('shows the last 64 KiB of a long one', async () => {
      await at.start('m1', { metadata: { items: [{ key: 'lines', value: '1000' }] } });
      const output = await at.calls.serialOutput({ zone: A, name: 'm1' });
      expect(output).toHaveLength(65_536);
      expect(output.endsWith(`\n${serialLine(999)}\n${serialLine(1000)}\n`)).toBe(true);
    });

    it('is refused where it is off, or there is none', async () => {
      at.simulator.faults.add({ kind: 'slow-provisioning', ms: 3_600_000 });
      await at.calls.insertInstance(insertion('m1'));
      const off = await failureOf(at.calls.serialOutput({ zone: A, name: 'm1' }));
      expect([off.status, off.reason]).toEqual([400, 'resourceNotReady']);
      const none = await failureOf(at.calls.serialOutput({ zone: A, name: 'm2' }));
      expect([none.status, none.message]).toEqual([
        404,
        "The resource 'projects/demo/zones/us-central1-a/instances/m2' was not found",
      ]);
    });
  });
}
