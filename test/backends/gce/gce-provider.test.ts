import { beforeEach, describe, expect, it } from 'vitest';
import {
  type ComputeCalls,
  ComputeFailure,
  NO_CREDENTIALS,
} from '../../../src/backends/gce/compute-calls.ts';
import { createGceProvider } from '../../../src/backends/gce/gce-provider.ts';
import { rentRefusal } from '../../../src/backends/gce/rent-refusal.ts';
import { GCE_PROFILES, type GceProfile } from '../../../src/config/gce-profiles.ts';
import { HandedOver } from '../../../src/core/handed-over.ts';
import {
  type CreateAnswer,
  type MachineRequest,
  newPlaceSearch,
  type Place,
  type WorkerProvider,
} from '../../../src/pool/port.ts';
import { type FaultInput, STOCK_OUT_WORDINGS } from '../../gce-simulator/faults.ts';
import { createSimulator, type Simulator } from '../../gce-simulator/simulator.ts';
import { clockOf, createManualTime, type ManualTime } from '../../gce-simulator/time.ts';
import { simulatedCompute } from '../../support/simulated-compute.ts';

const [A, B] = ['us-central1-a', 'us-central1-b'] as const;

let time: ManualTime;
let sim: Simulator;
let provider: WorkerProvider;
let places: Place[];

beforeEach(() => {
  time = createManualTime();
  sim = createSimulator({ time });
  provider = newProvider();
  places = [];
});

function newProvider(calls: ComputeCalls = simulatedCompute(sim), profiles = GCE_PROFILES): WorkerProvider {
  return createGceProvider({
    calls,
    clock: clockOf(time),
    settings: {
      project: 'p1',
      network: 'default',
      subnetwork: null,
      externalAddress: true,
      serviceAccount: 'default',
      startupScript: '#!/usr/bin/python3\n',
      settings: { bucket: 'b' },
    },
    profiles,
    zones: [A, B],
    pricePerHour: () => null,
  });
}

const fault = (input: FaultInput): void => void sim.faults.add(input);
const tried = (): string[] => places.map(({ zone, model }) => `${zone} ${model}`);
const machines = (): string[] =>
  sim.instances().map(({ zone, status }) => `${zone.split('/').at(-1)} ${status}`);
const inserts = (): number => sim.calls.count('instances.insert');

async function create(
  change: Partial<MachineRequest> = {},
  { signal = new AbortController().signal, of = provider } = {},
): Promise<CreateAnswer> {
  const request: MachineRequest = {
    id: 'goldfish-1',
    profile: 'cpu-small',
    zones: [A, B],
    models: ['standard'],
    last: null,
    capacityWaitSeconds: 100,
    search: newPlaceSearch(),
    maxSeconds: 3600,
    singleUse: false,
    ...change,
  };
  let answer: CreateAnswer | undefined;
  let failure: unknown;
  of.create(request, { signal, onPlace: (place) => places.push(place) }).then(
    (given) => {
      answer = given;
    },
    (error: unknown) => {
      failure = error;
    },
  );
  await time.until(() => answer !== undefined || failure !== undefined);
  if (answer === undefined) throw failure;
  return answer;
}

describe('the search for a place', () => {
  it.each(STOCK_OUT_WORDINGS.filter((wording) => wording !== 'incompatible-under-this-code'))(
    'goes on in the next zone when one has no machine and says so as %s',
    async (wording) => {
      fault({ kind: 'stock-out', zone: A, wording });
      expect(await create()).toEqual({ kind: 'created' });
      expect([tried(), machines()]).toEqual([[`${A} standard`, `${B} standard`], [`${B} RUNNING`]]);
    },
  );

  it.each(['operation', 'request'] as const)(
    'goes on in the next zone when a quota is used up (%s)',
    async (as) => {
      fault({ kind: 'quota', zone: A, as });
      expect(await create()).toEqual({ kind: 'created' });
      expect(machines()).toEqual([`${B} RUNNING`]);
    },
  );

  it('tries every zone for the first way of paying, then for the next', async () => {
    fault({ kind: 'stock-out', model: 'SPOT', times: 'always' });
    expect(await create({ models: ['spot', 'standard'] })).toEqual({ kind: 'created' });
    expect(tried()).toEqual([`${A} spot`, `${B} spot`, `${A} standard`]);
  });

  it('begins anew, round after round, until its time is over, and says what each place said', async () => {
    fault({ kind: 'stock-out', times: 'always', wording: 'stockout' });
    const began = time.now();
    const answer = await create({ capacityWaitSeconds: 60 });
    expect(answer).toMatchObject({ kind: 'no_place', lasting: false });
    expect(answer).toMatchObject({ message: expect.stringContaining(`${B}, standard: The zone`) });
    expect(tried().length).toBeGreaterThanOrEqual(6);
    expect(time.now() - began).toBeLessThan(75_000);
    expect(machines()).toEqual([]);
  });

  it('comes again to a zone whose machine was taken back while it started', async () => {
    fault({ kind: 'stock-out', times: 2, wording: 'preempted-at-start' });
    expect(await create({ models: ['spot'] })).toEqual({ kind: 'created' });
    expect(tried()).toEqual([`${A} spot`, `${B} spot`, `${A} spot`]);
  });

  it('leaves out for ever what a zone can never have, whatever the code says', async () => {
    fault({ kind: 'stock-out', times: 'always', wording: 'incompatible-under-this-code' });
    expect(await create()).toMatchObject({ kind: 'no_place', lasting: true });
    expect(tried()).toEqual([`${A} standard`, `${B} standard`]);
  });

  it('ends at once where no other zone would answer differently', async () => {
    fault({ kind: 'api-error', method: 'instances.insert', status: 403 });
    expect(await create()).toMatchObject({ kind: 'no_place', lasting: true });
    expect(tried()).toEqual([`${A} standard`]);
  });

  it.each([
    [{ kind: 'api-error', method: 'instances.insert', status: 503, after: true }],
    [{ kind: 'api-error', method: 'instances.insert', status: 429, times: 3 }],
    [{ kind: 'api-error', method: 'instances.insert', status: 502 }],
    [{ kind: 'disconnect', method: 'instances.insert', after: true }],
    [{ kind: 'api-error', method: 'zoneOperations.wait', status: 500, times: 3 }],
    [{ kind: 'lost-operation', method: 'instances.insert', how: 'forgotten' }],
    [{ kind: 'lost-operation', method: 'instances.insert', how: 'never-done' }],
    [{ kind: 'late-visibility', of: 'lists and get', ms: 20_000 }],
  ] as [FaultInput][])('makes one machine, in the first zone, though %j', async (input) => {
    fault(input);
    expect(await create()).toEqual({ kind: 'created' });
    expect([tried(), machines()]).toEqual([[`${A} standard`], [`${A} RUNNING`]]);
    await time.advance(600_000);
    expect(machines()).toEqual([`${A} RUNNING`]);
  });

  it.each([0, 100, 1_000, 5_000, 9_000])(
    'is continued by another process %i ms after the first request, with the same request',
    async (ms) => {
      const first = { last: null as MachineRequest['last'] };
      void provider
        .create(
          {
            id: 'goldfish-1',
            profile: 'cpu-small',
            zones: [B, A],
            models: ['standard'],
            last: null,
            capacityWaitSeconds: 100,
            search: newPlaceSearch(),
            maxSeconds: 3600,
            singleUse: false,
          },
          {
            signal: new AbortController().signal,
            onPlace: ({ zone, model }) => {
              first.last = { zone, model, number: 7 };
              return 7;
            },
          },
        )
        .catch(() => undefined);
      await time.advance(ms);
      expect(await create({ last: first.last }, { of: newProvider() })).toEqual({ kind: 'created' });
      expect(machines()).toEqual([`${B} RUNNING`]);
      expect(tried()).toEqual([]);
    },
  );

  it.each([1_000, 4_000, 7_000])(
    'that is called off after %i ms takes back what it asked for',
    async (ms) => {
      const stop = new AbortController();
      time.after(ms, () => stop.abort());
      expect(await create({}, { signal: stop.signal })).toEqual({
        kind: 'unclear',
        message: 'The search was ended.',
      });
      await time.advance(300_000);
      expect([machines(), inserts(), sim.calls.count('instances.delete')]).toEqual([[], 1, 1]);
    },
  );

  it.each([0, 1_000, 4_000, 7_000])(
    'that is handed over after %i ms leaves its machine to whoever goes on with the same request',
    async (ms) => {
      const stop = new AbortController();
      time.after(ms, () => stop.abort(new HandedOver()));
      expect(await create({}, { signal: stop.signal })).toEqual({
        kind: 'unclear',
        message: 'The search was ended.',
      });
      await time.advance(300_000);
      expect(machines()).toEqual([`${A} RUNNING`]);
      const last = { zone: A, model: 'standard', number: 1 } as const;
      expect(await create({ last }, { of: newProvider() })).toEqual({ kind: 'created' });
      expect([machines(), sim.calls.count('instances.delete')]).toEqual([[`${A} RUNNING`], 0]);
    },
  );

  /** The service does what it is asked for, and its answer does not come. */
  function keepingBack(method: 'insertInstance' | 'waitOperation' | 'getInstance' | 'deleteInstance') {
    const calls = simulatedCompute(sim);
    const silent = async (request: never, call: { signal?: AbortSignal } = {}): Promise<never> => {
      await calls[method](request, call);
      return new Promise((_, reject) => {
        call.signal?.addEventListener('abort', () => reject(call.signal?.reason));
      });
    };
    return newProvider({ ...calls, [method]: silent });
  }

  it.each(['insertInstance', 'waitOperation', 'getInstance', 'deleteInstance'] as const)(
    'that is called off does not wait for an answer to %s, and leaves no machine',
    async (method) => {
      const stop = new AbortController();
      let stoppedAt = 0;
      // Boots so long that the machine itself is looked for.
      fault({ kind: 'slow-provisioning', ms: 600_000 });
      time.after(200_000, () => {
        stoppedAt = time.now();
        stop.abort();
      });
      const answer = await create({}, { signal: stop.signal, of: keepingBack(method) });
      expect([answer.kind, time.now() - stoppedAt <= 5_000]).toEqual(['unclear', true]);
      expect(inserts()).toBe(1);
      await time.advance(1_200_000);
      expect(machines()).toEqual([]);
    },
  );

  it.each(Object.keys(GCE_PROFILES))('asks for %s as the service wants it', async (profile) => {
    const { models = [], machineType } = GCE_PROFILES[profile] ?? {};
    expect(await create({ profile, models })).toEqual({ kind: 'created' });
    const [instance] = sim.instances();
    expect(instance?.machineType.endsWith(`/${machineType}`)).toBe(true);
    expect(instance?.scheduling.automaticRestart).toBe(false);
  });
});

describe('a machine as its profile says', () => {
  /** The profile with something else in it, and what asks for machines of it. */
  function changed(name: string, change: (of: GceProfile) => Partial<GceProfile>) {
    const usual = GCE_PROFILES[name]!;
    const profile = { ...usual, ...change(usual) };
    return { profile, of: newProvider(simulatedCompute(sim), { [name]: profile }) };
  }

  it('has its data disks, and is told their names and what it was booted from', async () => {
    const dataDisks = [{ name: 'cache', sizeGb: 100, type: 'pd-ssd', mount: '/mnt/cache' }];
    const { of } = changed('cpu-small', () => ({ dataDisks }));
    expect(await create({}, { of })).toEqual({ kind: 'created' });
    expect(sim.disks().map(({ sizeGb }) => sizeGb)).toEqual(['50', '100']);
    const { body } = sim.metadata('goldfish-1').answer({ path: 'instance/attributes/goldfish-worker' });
    expect(JSON.parse(body)).toMatchObject({
      dataDisks: ['cache'],
      image: 'projects/debian-cloud/global/images/family/debian-12',
    });
  });

  it('is refused where its image is not there, with the key that names another one', async () => {
    const image = 'projects/deeplearning-platform-release/global/images/family/common-cu999';
    const { of, profile } = changed('h100-spot', ({ bootDisk }) => ({ bootDisk: { ...bootDisk, image } }));
    const answer = await create({ profile: 'h100-spot', models: ['spot'] }, { of });
    const message = `Invalid value for field 'resource.disks[0].initializeParams.sourceImage': '${image}'. The referenced image resource cannot be found.`;
    expect([answer, tried()]).toEqual([{ kind: 'no_place', message, lasting: true }, [`${A} spot`]]);
    const hintOf = (said: string) => rentRefusal(said, { name: 'h100-spot', profile }).hint;
    const look =
      'Look up an image that is there (gcloud compute images list --project=deeplearning-platform-release --no-standard-images), and name it with gce.profile_overrides.h100-spot.boot_disk.image.';
    expect(hintOf(message)).toBe(look);
    expect(hintOf(`The resource '${image}' was not found`)).toBe(look);
    expect(hintOf(`Required 'compute.images.useReadOnly' permission for '${image}'`)).toBe(
      'Ask "goldfish doctor --gce" what is missing.',
    );
    expect(rentRefusal(message, { name: 'h100-spot', profile }).message).toBe(
      `No machine can be rented: ${message}`,
    );
  });
});

describe('the list of machines', () => {
  it('has those of the project, by what they do', async () => {
    await create();
    expect(await provider.list()).toEqual({
      machines: [{ id: 'goldfish-1', zone: A, power: 'on' }],
      silentZones: [],
    });
    await provider.delete({ id: 'goldfish-1', zone: A });
    await time.advance(1_000);
    expect((await provider.list()).machines).toMatchObject([{ power: 'going' }]);
    await time.advance(300_000);
    expect(await provider.list()).toEqual({ machines: [], silentZones: [] });
    // It is gone already.
    await provider.delete({ id: 'goldfish-1', zone: A });
  });

  it('names the zones that do not answer, instead of taking them for empty', async () => {
    await create();
    fault({ kind: 'zone-unreachable', zone: B, times: 'always' });
    expect(await provider.list()).toEqual({
      machines: [{ id: 'goldfish-1', zone: A, power: 'on' }],
      silentZones: [B],
    });
    fault({ kind: 'zone-unreachable', zone: A, times: 'always' });
    await expect(provider.list()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE', retryable: true });
  });

  it('is made of one list for each zone where that of all is refused', async () => {
    await create();
    fault({ kind: 'zone-unreachable', zone: B, times: 'always' });
    fault({ kind: 'api-error', method: 'instances.aggregatedList', status: 503 });
    expect(await provider.list()).toEqual({
      machines: [{ id: 'goldfish-1', zone: A, power: 'on' }],
      silentZones: [B],
    });
    expect([sim.calls.count('instances.aggregatedList'), sim.calls.count('instances.list')]).toEqual([1, 2]);
  });

  it('has those of zones that are not configured any more, also where each zone is asked', async () => {
    const C = 'us-central1-c';
    await create({ zones: [C] });
    fault({ kind: 'api-error', method: 'instances.aggregatedList', status: 503, times: 'always' });
    const found = { machines: [{ id: 'goldfish-1', zone: C, power: 'on' }], silentZones: [] };
    expect(await provider.list({ zones: [C, A] })).toEqual(found);
    expect(sim.calls.count('instances.list')).toBe(3);
    fault({ kind: 'zone-unreachable', zone: C, times: 'always' });
    expect(await provider.list({ zones: [C] })).toEqual({ machines: [], silentZones: [C] });
  });

  it('says how to sign in where there are no credentials', async () => {
    const message = 'Goldfish found no valid credentials for Google Cloud.';
    const listInstances = () =>
      Promise.reject(new ComputeFailure({ message, status: 401, reason: NO_CREDENTIALS }));
    const calls = { ...simulatedCompute(sim), listInstances };
    await expect(newProvider(calls).list()).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message,
      hint: 'Run "gcloud auth application-default login", or give this machine a service account; then repeat the call.',
      retryable: false,
    });
  });
});

it('tells a machine that was taken back from one that somebody stopped', async () => {
  await create({ models: ['spot'], id: 'goldfish-1' });
  await create({ models: ['spot'], id: 'goldfish-2' });
  sim.preempt('goldfish-1');
  sim.stop('goldfish-2');
  await time.advance(300_000);
  expect([await provider.preempted(A), await provider.preempted(B)]).toEqual([
    new Set(['goldfish-1']),
    new Set(),
  ]);
});
