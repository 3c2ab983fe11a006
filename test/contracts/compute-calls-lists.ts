import { describe, expect, it } from 'vitest';
import { A, B, type ComputeHarness, failureOf, machineBody, opened } from './compute-calls-kit.ts';

export function listsOf(harness: ComputeHarness): void {
  describe('a list', () => {
    const at = opened(harness);
    const filter = 'labels.run=r1';

    /** Machines that were asked for just now, by the shortest way there is. */
    async function fill(zone: string, names: readonly string[]): Promise<void> {
      const path = `/compute/v1/projects/demo/zones/${zone}/instances`;
      for (const name of names) {
        const answer = await at.simulator.call({ method: 'POST', path, body: machineBody(name, {}, zone) });
        expect(answer).toMatchObject({ status: 200 });
      }
    }

    it('has the machines that its filter names, of all zones or of one', async () => {
      await at.start('m1');
      await at.start('m2', { labels: { run: 'r2' } });
      await at.start('m3', {}, B);
      const { instances, silentZones } = await at.calls.listInstances({ filter });
      expect(silentZones).toEqual([]);
      expect(instances).toMatchObject([
        {
          name: 'm1',
          zone: expect.stringMatching(/\/zones\/us-central1-a$/),
          status: 'RUNNING',
          creationTimestamp: expect.stringMatching(/^\d{4}-/),
          scheduling: { provisioningModel: 'STANDARD' },
        },
        { name: 'm3', zone: expect.stringMatching(/\/zones\/us-east1-b$/) },
      ]);
      const named = async (request: { zone?: string; filter: string }): Promise<string[]> =>
        (await at.calls.listInstances(request)).instances.map(({ name }) => name);
      expect(await named({ zone: A, filter })).toEqual(['m1']);
      expect(await named({ zone: A, filter: '' })).toEqual(['m1', 'm2']);
      expect(await named({ filter: `${filter} AND status=TERMINATED` })).toEqual([]);
      expect(await named({ zone: B, filter: 'labels.run=r2' })).toEqual([]);
    });

    it('has all of its pages, of up to 500', async () => {
      const names = Array.from({ length: 501 }, (_, index) => `m-${String(index).padStart(3, '0')}`);
      await fill(A, names);
      await fill(B, ['n-1', 'n-2']);
      const { calls, simulator } = at;
      const everywhere = await calls.listInstances({ filter });
      expect(everywhere.instances.map(({ name }) => name)).toEqual([...names, 'n-1', 'n-2']);
      const { instances } = await calls.listInstances({ zone: A, filter });
      expect(instances.map(({ name }) => name)).toEqual(names);
      const operations = await calls.listOperations({ zone: A, filter: 'operationType="insert"' });
      expect(new Set(operations.map(({ name }) => name)).size).toBe(501);
      const ids = ['instances.aggregatedList', 'instances.list', 'zoneOperations.list'];
      expect(ids.map((id) => simulator.calls.count(id))).toEqual([2, 2, 2]);
    });

    it('names the zones that do not answer, instead of taking them for empty', async () => {
      await at.start('m1');
      await at.start('m2', {}, B);
      at.simulator.faults.add({ kind: 'zone-unreachable', zone: A, times: 'always' });
      at.simulator.faults.add({ kind: 'zone-unreachable', zone: 'europe-west4-a', times: 'always' });
      expect(await at.calls.listInstances({ filter })).toMatchObject({
        instances: [{ name: 'm2' }],
        silentZones: ['europe-west4-a', A],
      });
      const failure = await failureOf(at.calls.listInstances({ zone: A, filter }));
      expect([failure.status, failure.reason]).toEqual([503, 'backendError']);
    });

    it('is refused where its filter cannot be read', async () => {
      const failure = await failureOf(at.calls.listInstances({ filter: 'labels.run=' }));
      expect([failure.status, failure.reason, failure.message]).toEqual([
        400,
        'invalid',
        "Invalid value for field 'filter': 'labels.run='. Invalid list filter expression.",
      ]);
    });

    it('of operations tells which machine was taken back', async () => {
      for (const name of ['m1', 'm2']) {
        const scheduling = {
          ...machineBody(name).scheduling,
          provisioningModel: 'SPOT',
          onHostMaintenance: 'TERMINATE',
        } as const;
        await at.start(name, { scheduling });
      }
      at.simulator.preempt('m2');
      const asked = { zone: A, filter: 'operationType="compute.instances.preempted"' };
      expect(await at.calls.listOperations(asked)).toMatchObject([
        {
          status: 'DONE',
          operationType: 'compute.instances.preempted',
          targetLink: expect.stringMatching(/\/zones\/us-central1-a\/instances\/m2$/),
        },
      ]);
      expect(await at.calls.listOperations({ ...asked, zone: B })).toEqual([]);
    });
  });
}
