import { describe, expect, it } from 'vitest';
import {
  classifyFailure,
  classifyOperation,
  type FailureClass,
} from '../../src/backends/gce/classify-failure.ts';
import { type FaultInput, STOCK_OUT_WORDINGS } from '../gce-simulator/faults.ts';
import { A, CALLS, type ComputeHarness, failureOf, insertion, opened } from './compute-calls-kit.ts';

/** How the service refuses any call, in its own words, and what that means for a search. */
const REFUSALS: readonly [
  status: 401 | 403 | 429 | 500 | 502 | 503,
  reason: string | undefined,
  message: string,
  means: FailureClass,
][] = [
  [401, 'authError', 'Invalid Credentials', 'refused'],
  [403, 'forbidden', "Required 'compute.instances.list' permission for this resource", 'refused'],
  [
    429,
    'rateLimitExceeded',
    "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com' for consumer 'project_number:123456789012'.",
    'passing',
  ],
  [500, 'internalError', 'Internal error encountered.', 'passing'],
  [502, undefined, 'Compute Engine answered with HTTP 502.', 'passing'],
  [503, 'backendError', 'Backend Error', 'passing'],
];

const LACKS_RESOURCES =
  "The zone 'projects/demo/zones/us-central1-a' does not have enough resources available to fulfill the request.";

export function troubleOf(harness: ComputeHarness): void {
  describe('a refusal', () => {
    const at = opened(harness);
    const told = async (call: Promise<unknown>) => {
      const failure = await failureOf(call);
      const { status, reason, message } = failure;
      return [status, reason, message, classifyFailure(failure)];
    };

    it.each(CALLS)('is told as it is, and the request is sent once: %s', async (_name, id, call) => {
      for (const refusal of REFUSALS) {
        at.simulator.calls.records.length = 0;
        at.simulator.faults.add({ kind: 'api-error', method: id, status: refusal[0] });
        expect(await told(call(at.calls))).toEqual(refusal);
        expect(at.simulator.calls.counts()).toEqual({ [id]: 1 });
      }
    });

    it.each(CALLS)(
      'has no status where the connection broke, and is sent once: %s',
      async (_name, id, call) => {
        at.simulator.faults.add({ kind: 'disconnect', method: id });
        expect(await told(call(at.calls))).toEqual([
          undefined,
          undefined,
          'The connection to Compute Engine broke (ECONNRESET).',
          'passing',
        ]);
        expect(at.simulator.calls.counts()).toEqual({ [id]: 1 });
      },
    );

    it.each([
      { kind: 'api-error', method: 'instances.insert', status: 503, after: true },
      { kind: 'disconnect', method: 'instances.insert', after: true },
    ] satisfies FaultInput[])('may hide what was done, which the same request finds: %j', async (fault) => {
      const request = insertion('m1');
      at.simulator.faults.add(fault);
      await failureOf(at.calls.insertInstance(request));
      expect((await at.ended(at.calls.insertInstance(request))).error ?? null).toBeNull();
      expect(at.simulator.instances()).toHaveLength(1);
    });

    it('of a machine says why it cannot be had', async () => {
      await at.calls.insertInstance(insertion('m1'));
      const refused = (name: string, change = {}) => told(at.calls.insertInstance(insertion(name, change)));
      expect(await refused('m1')).toEqual([
        409,
        'alreadyExists',
        "The resource 'projects/demo/zones/us-central1-a/instances/m1' already exists",
        'exists',
      ]);
      at.simulator.faults.add({ kind: 'quota', as: 'request' });
      expect(await refused('m2')).toEqual([
        403,
        'quotaExceeded',
        "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.",
        'quota',
      ]);
      at.simulator.faults.add({ kind: 'stock-out', wording: 'refused-at-once' });
      expect(await refused('m2')).toEqual([503, 'insufficientCapacity', LACKS_RESOURCES, 'no_capacity']);
      expect(await refused('m2', { machineType: `zones/${A}/machineTypes/n9-none` })).toEqual([
        400,
        'invalid',
        "Invalid value for field 'resource.machineType': 'https://www.googleapis.com/compute/v1/projects/demo/zones/us-central1-a/machineTypes/n9-none'. Machine type with name 'n9-none' does not exist in zone 'us-central1-a'.",
        'impossible',
      ]);
    });
  });

  describe('an operation', () => {
    const at = opened(harness);

    /** What became of a machine that was asked for. */
    const outcome = async (fault: FaultInput) => {
      at.simulator.faults.add(fault);
      const { error, httpErrorStatusCode } = await at.ended(at.calls.insertInstance(insertion('m1')));
      const errors = error?.errors ?? [];
      const codes = errors.map(({ code, message }) => [code, message]);
      return { codes, status: httpErrorStatusCode, means: classifyOperation(errors, httpErrorStatusCode) };
    };

    it('says by its errors that nothing is to be had', async () => {
      expect(await outcome({ kind: 'stock-out' })).toEqual({
        codes: [
          ['ZONE_RESOURCE_POOL_EXHAUSTED', `${LACKS_RESOURCES}  Try a different zone, or try again later.`],
        ],
        status: 503,
        means: 'no_capacity',
      });
    });

    it.each(STOCK_OUT_WORDINGS.filter((wording) => wording !== 'refused-at-once'))(
      'keeps what a stock-out is recognised by: %s',
      async (wording) => {
        const { means } = await outcome({ kind: 'stock-out', wording });
        expect(means).toBe(wording === 'incompatible-under-this-code' ? 'impossible' : 'no_capacity');
      },
    );

    it('says by its errors that a quota is used up, or that something broke', async () => {
      expect(await outcome({ kind: 'quota' })).toEqual({
        codes: [['QUOTA_EXCEEDED', "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1."]],
        status: 403,
        means: 'quota',
      });
      expect(await outcome({ kind: 'operation-error', method: 'instances.insert' })).toMatchObject({
        codes: [['INTERNAL_ERROR', expect.stringMatching(/^Internal error/)]],
        status: 503,
        means: 'passing',
      });
    });

    it('that is not known is refused', async () => {
      const failure = await failureOf(at.calls.waitOperation({ zone: A, operation: 'operation-1' }));
      expect([failure.status, failure.reason]).toEqual([404, 'notFound']);
    });

    it('that does not end is shown as it is after two minutes', async () => {
      at.simulator.faults.add({ kind: 'lost-operation', method: 'instances.insert', how: 'never-done' });
      const { name } = await at.calls.insertInstance(insertion('m1'));
      const began = at.simulator.time.now();
      expect(await at.settled(at.calls.waitOperation({ zone: A, operation: name }))).toMatchObject({
        name,
        status: 'RUNNING',
      });
      expect(at.simulator.time.now() - began).toBeGreaterThanOrEqual(120_000);
    });
  });

  describe('an abort', () => {
    const at = opened(harness);
    const reason = new Error('called off');

    it.each(CALLS)('before a call ends it, and nothing is asked: %s', async (_name, _id, call) => {
      await expect(call(at.calls, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect(at.simulator.calls.records).toEqual([]);
    });

    it('ends a call that waits for its answer', async () => {
      at.simulator.faults.add({ kind: 'lost-operation', method: 'instances.insert', how: 'never-done' });
      const { name } = await at.calls.insertInstance(insertion('m1'));
      const stop = new AbortController();
      const waiting = at.calls.waitOperation({ zone: A, operation: name }, { signal: stop.signal });
      const ended = expect(waiting).rejects.toBe(reason);
      const asked = () => at.simulator.calls.count('zoneOperations.wait');
      await expect.poll(asked, { timeout: 10_000 }).toBe(1);
      stop.abort(reason);
      await ended;
      expect(asked()).toBe(1);
    });
  });
}
