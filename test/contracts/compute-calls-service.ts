import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { classifyFailure } from '../../src/backends/gce/classify-failure.ts';
import type { ComputeCalls, InstanceBody, OperationFacts } from '../../src/backends/gce/compute-calls.ts';
import { endOf, failureOf } from './compute-calls-kit.ts';

type Insertion = { zone: string; requestId: string; body: InstanceBody };

/** A service that cannot be told what to do, as a real one. */
export type ServiceHarness = {
  /** Two, or one where there are no more: then what needs another is left out. */
  zones: readonly [string, string | undefined];
  /** Called before each test. */
  open(): Promise<OpenedService>;
};

export type OpenedService = {
  calls: ComputeCalls;
  /** The end of the work; time may pass in the service meanwhile. */
  settled<T>(work: Promise<T>): Promise<T>;
  /** A small machine that boots and says something. Its name is that of `nameOf`. */
  insertion(name: string, change: Partial<InstanceBody>, zone: string): Insertion;
  /** What a test calls `m1`, as this service is to call it: names that were in use a moment ago may be so still. */
  nameOf(name: string): string;
  /** Names the machines of the test that is running. */
  filter: string;
  /** Leaves no machine. */
  dispose(): Promise<void>;
};

/** What holds of any service that the calls are made to, a real one, too. Rents eight machines, each for a moment. */
export function serviceOf(harness: ServiceHarness): void {
  const [zone, other] = harness.zones;

  describe('a machine', () => {
    const at = opened(harness);

    it('is inserted, waited for and shown', async () => {
      const name = at.nameOf('m1');
      const link = expect.stringMatching(new RegExp(`/zones/${zone}/instances/${name}$`));
      const asked = await at.calls.insertInstance(at.insertion('m1', {}, zone));
      expect(asked).toMatchObject({
        name: expect.stringMatching(/^operation-/),
        status: expect.stringMatching(/^(PENDING|RUNNING)$/),
        operationType: 'insert',
        targetLink: link,
      });
      const ended = await at.ended(asked);
      expect([ended.name, ended.status, ended.error ?? null]).toEqual([asked.name, 'DONE', null]);
      expect(await at.calls.getInstance({ zone, name })).toMatchObject({
        name,
        zone: expect.stringMatching(new RegExp(`/zones/${zone}$`)),
        status: 'RUNNING',
        creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        scheduling: { provisioningModel: 'STANDARD' },
      });
    });

    it('is one, however often the same request is sent', async () => {
      const request = at.insertion('m1', {}, zone);
      const first = await at.calls.insertInstance(request);
      expect((await at.calls.insertInstance(request)).name).toBe(first.name);
      await at.ended(first);
      expect(await at.calls.insertInstance(request)).toMatchObject({ name: first.name, status: 'DONE' });
      expect((await at.calls.listInstances({ zone, filter: at.filter })).instances).toHaveLength(1);
    });

    it('is deleted once, however often the same request is sent', async () => {
      const name = await at.start('m1');
      const { requestId } = at.insertion('m1', {}, zone);
      const request = { zone, name, requestId };
      const first = await at.calls.deleteInstance(request);
      expect((await at.calls.deleteInstance(request))?.name).toBe(first?.name);
      expect((await at.ended(first)).error ?? null).toBeNull();
      expect(await at.calls.getInstance({ zone, name })).toBeUndefined();
    });

    it('that is not there is undefined, and cannot be deleted', async () => {
      const { requestId } = at.insertion('m2', {}, zone);
      const nobody = { zone, name: at.nameOf('m2') };
      expect(await at.calls.getInstance(nobody)).toBeUndefined();
      expect(await at.calls.deleteInstance({ ...nobody, requestId })).toBeUndefined();
    });

    it('says what its boot wrote to the serial port', async () => {
      const name = await at.start('m1');
      const said = () => at.calls.serialOutput({ zone, name });
      await expect.poll(said, { timeout: 180_000, interval: 1_000 }).toMatch(/\S/);
      expect((await said()).length).toBeLessThanOrEqual(65_536);
    });

    it('that is not there has no serial port', async () => {
      const none = await failureOf(at.calls.serialOutput({ zone, name: at.nameOf('m2') }));
      expect([none.status, none.message]).toEqual([
        404,
        expect.stringContaining(`/zones/${zone}/instances/${at.nameOf('m2')}' was not found`),
      ]);
    });

    it('is refused where there is one of its name, or none of its kind', async () => {
      await at.start('m1');
      const refused = async (name: string, change: Partial<InstanceBody>) => {
        const failure = await failureOf(at.calls.insertInstance(at.insertion(name, change, zone)));
        return [failure.status, failure.reason, classifyFailure(failure)];
      };
      expect(await refused('m1', {})).toEqual([409, 'alreadyExists', 'exists']);
      const machineType = `zones/${zone}/machineTypes/n9-none`;
      expect(await refused('m2', { machineType })).toEqual([400, 'invalid', 'impossible']);
    });
  });

  describe('a list', () => {
    const at = opened(harness);
    const NEEDS = other === undefined ? ' (needs a second zone)' : '';
    it.skipIf(other === undefined)(
      `has the machines that its filter names, of all zones or of one${NEEDS}`,
      async () => {
        if (other === undefined) return;
        const { calls, filter } = at;
        const names = [await at.start('m1'), await at.start('m2', other)];
        const { instances, silentZones } = await calls.listInstances({ filter });
        expect(silentZones).toEqual([]);
        expect(new Set(instances.map(({ name }) => name))).toEqual(new Set(names));
        const named = async (request: { zone: string; filter: string }): Promise<string[]> =>
          (await calls.listInstances(request)).instances.map(({ name }) => name);
        expect(await named({ zone, filter })).toEqual([names[0]]);
        expect(await named({ zone: other, filter })).toEqual([names[1]]);
        expect(await named({ zone, filter: `${filter} AND status=TERMINATED` })).toEqual([]);
        expect(await calls.getInstance({ zone: other, name: at.nameOf('m1') })).toBeUndefined();
      },
    );

    it('is refused where its filter cannot be read', async () => {
      const failure = await failureOf(at.calls.listInstances({ filter: 'labels.run=' }));
      expect([failure.status, failure.reason]).toEqual([400, 'invalid']);
    });

    it('of operations has what was asked for', async () => {
      const asked = await at.calls.insertInstance(at.insertion('m1', {}, zone));
      await at.ended(asked);
      const seen = await at.calls.listOperations({ zone, filter: `name=${asked.name}` });
      expect(seen).toMatchObject([{ name: asked.name, status: 'DONE', operationType: 'insert' }]);
    });
  });

  describe('an operation', () => {
    const at = opened(harness);

    it('that is not known is refused', async () => {
      const failure = await failureOf(at.calls.waitOperation({ zone, operation: 'operation-1' }));
      expect([failure.status, failure.reason]).toEqual([404, 'notFound']);
    });
  });
}

type ServiceUnderTest = Omit<OpenedService, 'dispose'> & {
  /** Waits as a caller must: again, while it is not DONE. In the first zone, or that of its machine. */
  ended(asked: OperationFacts | undefined, zone?: string): Promise<OperationFacts>;
  /** Inserts a machine that runs, in the first zone or another; answers its name. */
  start(name: string, zone?: string): Promise<string>;
};

/** The service of the test that is running. */
function opened({ zones, open }: ServiceHarness): ServiceUnderTest {
  let current: OpenedService | undefined;
  const now = (): OpenedService => {
    if (!current) throw new Error('asked for outside of a test');
    return current;
  };
  beforeEach(async () => {
    current = await open();
  });
  afterEach(() => now().dispose());
  const ended: ServiceUnderTest['ended'] = (asked, zone = zones[0]) => endOf(now(), asked, zone);
  return {
    get calls() {
      return now().calls;
    },
    get filter() {
      return now().filter;
    },
    settled: (work) => now().settled(work),
    insertion: (name, change, zone) => now().insertion(name, change, zone),
    nameOf: (name) => now().nameOf(name),
    ended,
    start: async (name, zone = zones[0]) => {
      const { error } = await ended(await now().calls.insertInstance(now().insertion(name, {}, zone)), zone);
      if (error) throw new Error(JSON.stringify(error));
      return now().nameOf(name);
    },
  };
}
