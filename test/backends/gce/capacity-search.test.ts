import { expect, it } from 'vitest';
import { searchCapacity } from '../../../src/backends/gce/capacity-search.ts';
import { type ComputeCalls, ComputeFailure } from '../../../src/backends/gce/compute-calls.ts';
import { createGceProvider } from '../../../src/backends/gce/gce-provider.ts';
import { GCE_PROFILES } from '../../../src/config/gce-profiles.ts';
import { type MachineRequest, newPlaceSearch, type Place } from '../../../src/pool/port.ts';
import { createSimulator } from '../../gce-simulator/simulator.ts';
import { clockOf, createManualTime } from '../../gce-simulator/time.ts';
import { MACHINE_SETTINGS, simulatedCompute } from '../../support/simulated-compute.ts';

const [A, B] = ['us-central1-a', 'us-central1-b'] as const;

function requestFor(change: Partial<MachineRequest> = {}): MachineRequest {
  return {
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
}

/** A simulator, and the search in it: what it answers, where it asked, and how long that took. */
function searchIn(change: (calls: ComputeCalls, now: () => number) => Partial<ComputeCalls> = () => ({})) {
  const time = createManualTime();
  const sim = createSimulator({ time });
  const calls = simulatedCompute(sim);
  const provider = createGceProvider({
    calls: { ...calls, ...change(calls, () => time.now()) },
    clock: clockOf(time),
    settings: MACHINE_SETTINGS,
    profiles: GCE_PROFILES,
    zones: [A, B],
    pricePerHour: () => null,
  });
  const search = async (request: Partial<MachineRequest>) => {
    const places: string[] = [];
    const began = time.now();
    const { signal } = new AbortController();
    const onPlace = ({ zone }: Place): number => places.push(zone);
    const searching = provider.create(requestFor(request), { signal, onPlace });
    let isOver = false;
    void searching.finally(() => {
      isOver = true;
    });
    await time.until(() => isOver);
    return { answer: await searching, places, ms: time.now() - began };
  };
  return { sim, search };
}

it('asks for nothing again that an earlier search has asked for, where nobody wants it any more', async () => {
  const asked = (): never => {
    throw new Error('something was asked for');
  };
  const answer = await searchCapacity(
    {
      calls: new Proxy({} as ComputeCalls, { get: asked }),
      clock: clockOf(createManualTime()),
      body: asked,
      pricePerHour: asked,
    },
    requestFor({ last: { zone: A, model: 'standard', number: 1 } }),
    { signal: AbortSignal.abort(), onPlace: asked },
  );
  // It may come all the same.
  expect(answer).toEqual({ kind: 'unclear', message: 'The search was ended.' });
});

it('asks no place again once its time is over, also in the middle of a round', async () => {
  const { sim, search } = searchIn();
  sim.faults.add({ kind: 'stock-out', times: 'always' });
  const once = await search({ capacityWaitSeconds: 0 });
  expect([once.answer.kind, once.places]).toEqual(['no_place', [A, B]]);
  // The second round begins a moment before its time is over.
  const twice = await search({ id: 'goldfish-2', capacityWaitSeconds: (once.ms + 15_001) / 1000 });
  expect([twice.answer.kind, twice.places]).toEqual(['no_place', [A, B, A]]);
});

it('waits longer after each refusal that passes, in every zone of a round, and begins anew with the next', async () => {
  const asked: { zone: string; at: number }[] = [];
  const { sim, search } = searchIn((calls, now) => ({
    insertInstance: async (request, call) => {
      // Twice whenever it comes to a zone.
      const isRefused = asked.push({ zone: request.zone, at: now() }) % 3 > 0;
      if (isRefused) throw new ComputeFailure({ message: 'Too many calls.', status: 429 });
      return calls.insertInstance(request, call);
    },
  }));
  sim.faults.add({ kind: 'stock-out', times: 3 });
  const { answer, places } = await search({});
  expect([answer.kind, places]).toEqual(['created', [A, B, A, B]]);
  const pauses = asked.flatMap(({ zone, at }, n) => {
    const before = asked[n - 1];
    return before?.zone === zone ? [at - before.at] : [];
  });
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 1_000, 2_000, 4_000, 8_000]);
});
