import { expect, it } from 'vitest';
import { searchCapacity } from '../../../src/backends/gce/capacity-search.ts';
import type { ComputeCalls } from '../../../src/backends/gce/compute-calls.ts';
import { clockOf, createManualTime } from '../../gce-simulator/time.ts';

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
    {
      id: 'goldfish-1',
      profile: 'cpu-small',
      zones: ['us-central1-a'],
      models: ['standard'],
      last: { zone: 'us-central1-a', model: 'standard', number: 1 },
      capacityWaitSeconds: 100,
      maxSeconds: 3600,
      singleUse: false,
    },
    { signal: AbortSignal.abort(), onPlace: asked },
  );
  // It may come all the same.
  expect(answer).toEqual({ kind: 'unclear', message: 'The search was ended.' });
});
