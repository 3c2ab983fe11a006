import { describe, expect, it } from 'vitest';
import { A, B, type ComputeHarness, failureOf, insertion, opened, serialLine } from './compute-calls-kit.ts';
import { listsOf } from './compute-calls-lists.ts';
import { troubleOf } from './compute-calls-trouble.ts';

/** Every promise of src/backends/gce/compute-calls.ts, kept against the simulated service. */
export function describeComputeCalls(name: string, harness: ComputeHarness): void {
  describe(`${name} as the calls of the Compute API`, () => {
    machinesOf(harness);
    listsOf(harness);
    troubleOf(harness);
  });
}

function machinesOf(harness: ComputeHarness): void {
  describe('a machine', () => {
    const at = opened(harness);

    it('is inserted, waited for and shown', async () => {
      const asked = await at.calls.insertInstance(insertion('m1'));
      expect(asked).toMatchObject({
        name: expect.stringMatching(/^operation-/),
        status: 'PENDING',
        operationType: 'insert',
        targetLink: expect.stringMatching(/\/zones\/us-central1-a\/instances\/m1$/),
      });
      const ended = await at.ended(Promise.resolve(asked));
      expect([ended.name, ended.status, ended.error ?? null]).toEqual([asked.name, 'DONE', null]);
      expect(await at.calls.getInstance({ zone: A, name: 'm1' })).toMatchObject({
        name: 'm1',
        zone: expect.stringMatching(/\/zones\/us-central1-a$/),
        status: 'RUNNING',
        creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        scheduling: { provisioningModel: 'STANDARD' },
      });
    });

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

    it('is one, however often the same request is sent', async () => {
      const request = insertion('m1');
      const first = await at.calls.insertInstance(request);
      expect((await at.calls.insertInstance(request)).name).toBe(first.name);
      await at.ended(Promise.resolve(first));
      expect(await at.calls.insertInstance(request)).toMatchObject({ name: first.name, status: 'DONE' });
      expect(at.simulator.instances()).toHaveLength(1);
    });

    it('is deleted once, however often the same request is sent', async () => {
      await at.start('m1');
      const request = { zone: A, name: 'm1', requestId: insertion('m1').requestId };
      const first = await at.calls.deleteInstance(request);
      expect((await at.calls.deleteInstance(request))?.name).toBe(first?.name);
      expect((await at.ended(Promise.resolve(first))).error ?? null).toBeNull();
      expect(await at.calls.getInstance({ zone: A, name: 'm1' })).toBeUndefined();
    });

    it('that is not there is undefined, and cannot be deleted', async () => {
      await at.start('m1');
      const { requestId } = insertion('m1');
      expect(await at.calls.getInstance({ zone: A, name: 'm2' })).toBeUndefined();
      expect(await at.calls.getInstance({ zone: B, name: 'm1' })).toBeUndefined();
      expect(await at.calls.deleteInstance({ zone: B, name: 'm1', requestId })).toBeUndefined();
      expect(at.simulator.instances()).toHaveLength(1);
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
