import {
  type CallOptions,
  type ComputeCalls,
  ComputeFailure,
  type InstanceFacts,
  type OperationFacts,
} from '../../src/backends/gce/compute-calls.ts';
import type { Simulator } from '../gce-simulator/simulator.ts';

type Json = ReturnType<typeof JSON.parse>;

/** The calls of the adapter against the simulator in the same process: no HTTP, and time that moves only when told. */
export function simulatedCompute(simulator: Pick<Simulator, 'call' | 'project'>): ComputeCalls {
  const call = async (method: string, path: string, body?: unknown): Promise<Json> => {
    const answer = await simulator.call({
      method,
      path: `/compute/v1/projects/${simulator.project}/${path}`,
      body,
    });
    if (answer === 'disconnect') throw new ComputeFailure({ message: 'The connection broke.' });
    const { status, body: json } = answer as { status: number; body: Json };
    if (status === 200) return json;
    const error = typeof json === 'string' ? { message: json } : json.error;
    throw new ComputeFailure({ status, reason: error.errors?.[0]?.reason, message: error.message });
  };
  const unlessMissing = <T>(work: Promise<T>): Promise<T | undefined> =>
    work.catch((error: unknown) => {
      if (error instanceof ComputeFailure && error.status === 404) return undefined;
      throw error;
    });
  const all = async <T>(
    kind: 'instances' | 'operations',
    zone: string | undefined,
    filter: string,
  ): Promise<T[]> => {
    const found: T[] = [];
    for (let token = ''; ; ) {
      const place = zone === undefined ? `aggregated/${kind}` : `zones/${zone}/${kind}`;
      const query = new URLSearchParams({ filter, ...(token === '' ? {} : { pageToken: token }) });
      const page = await call('GET', `${place}?${query}`);
      if (zone !== undefined) found.push(...(page.items ?? []));
      else for (const scope of Object.values<Json>(page.items)) found.push(...(scope[kind] ?? []));
      if (page.nextPageToken === undefined) return found;
      token = page.nextPageToken;
    }
  };
  return {
    insertInstance: ({ zone, requestId, body }) =>
      call('POST', `zones/${zone}/instances?requestId=${requestId}`, body),
    waitOperation: ({ zone, operation }) => call('POST', `zones/${zone}/operations/${operation}/wait`),
    getInstance: ({ zone, name }) => unlessMissing(call('GET', `zones/${zone}/instances/${name}`)),
    deleteInstance: ({ zone, name, requestId }) =>
      unlessMissing(call('DELETE', `zones/${zone}/instances/${name}?requestId=${requestId}`)),
    listInstances: ({ zone, filter }) => all<InstanceFacts>('instances', zone, filter),
    listOperations: ({ zone, filter }) => all<OperationFacts>('operations', zone, filter),
    serialOutput: async ({ zone, name }, _options?: CallOptions) =>
      (await call('GET', `zones/${zone}/instances/${name}/serialPort`)).contents,
  };
}
