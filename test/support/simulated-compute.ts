import {
  type CallOptions,
  type ComputeCalls,
  ComputeFailure,
  type InstanceFacts,
  type OperationFacts,
} from '../../src/backends/gce/compute-calls.ts';
import type { MachineSettings } from '../../src/backends/gce/instance-body.ts';
import type { Simulator } from '../gce-simulator/simulator.ts';

type Json = ReturnType<typeof JSON.parse>;
type Request = {
  method?: 'GET' | 'POST' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  body?: unknown;
};

/** Of machines about which a test wants nothing in particular. */
export const MACHINE_SETTINGS: MachineSettings = {
  project: 'p1',
  network: 'default',
  subnetwork: null,
  externalAddress: true,
  serviceAccount: 'default',
  startupScript: '#!/bin/sh',
  settings: {},
};

/** The calls of the adapter against the simulator in the same process: no HTTP, and time that moves only when told. */
export function simulatedCompute(simulator: Pick<Simulator, 'call' | 'project'>): ComputeCalls {
  const call = async (options: CallOptions | undefined, request: Request): Promise<Json> => {
    const { method = 'GET', path, query, body } = request;
    const asked = `/compute/v1/projects/${simulator.project}/${path}`;
    const answer = await unlessAborted(options?.signal, () =>
      simulator.call({ method, path: query ? `${asked}?${new URLSearchParams(query)}` : asked, body }),
    );
    if (answer === 'disconnect') {
      throw new ComputeFailure({ message: 'The connection to Compute Engine broke (ECONNRESET).' });
    }
    const { status, body: json } = answer as { status: number; body: Json };
    if (status === 200) return json;
    const message = json.error?.message ?? `Compute Engine answered with HTTP ${status}.`;
    throw new ComputeFailure({ status, reason: json.error?.errors?.[0]?.reason, message });
  };
  const pages = async (
    options: CallOptions | undefined,
    path: string,
    query: Record<string, string>,
  ): Promise<Json[]> => {
    const found: Json[] = [];
    for (let pageToken: string | undefined; ; ) {
      const asked = { ...query, maxResults: '500', ...(pageToken === undefined ? {} : { pageToken }) };
      const page = await call(options, { path, query: asked });
      found.push(page);
      pageToken = page.nextPageToken;
      if (pageToken === undefined) return found;
    }
  };
  return {
    insertInstance: ({ zone, requestId, body }, options) =>
      call(options, { method: 'POST', path: `zones/${zone}/instances`, query: { requestId }, body }),
    waitOperation: ({ zone, operation }, options) =>
      call(options, { method: 'POST', path: `zones/${zone}/operations/${operation}/wait` }),
    getInstance: ({ zone, name }, options) =>
      unlessMissing(call(options, { path: `zones/${zone}/instances/${name}` })),
    deleteInstance: ({ zone, name, requestId }, options) => {
      const path = `zones/${zone}/instances/${name}`;
      return unlessMissing(call(options, { method: 'DELETE', path, query: { requestId } }));
    },
    listInstances: async ({ zone, filter }, options) => {
      if (zone !== undefined) {
        const found = await pages(options, `zones/${zone}/instances`, { filter });
        return { instances: itemsOf<InstanceFacts>(found), silentZones: [] };
      }
      const query = { filter, returnPartialSuccess: 'true' };
      const found = await pages(options, 'aggregated/instances', query);
      const scopes = found.flatMap((page) => Object.values<Json>(page.items));
      const silent: string[] = found.flatMap((page) => page.unreachables ?? []);
      return {
        instances: scopes.flatMap<InstanceFacts>(({ instances }) => instances ?? []),
        silentZones: [...new Set(silent.map((scope) => scope.replace(/^zones\//, '')))].sort(),
      };
    },
    listOperations: async ({ zone, filter }, options) =>
      itemsOf<OperationFacts>(await pages(options, `zones/${zone}/operations`, { filter })),
    serialOutput: async ({ zone, name }, options) => {
      const path = `zones/${zone}/instances/${name}/serialPort`;
      return (await call(options, { path, query: { start: String(-64 << 10) } })).contents;
    },
  };
}

function itemsOf<T>(pages: Json[]): T[] {
  return pages.flatMap<T>(({ items }) => items ?? []);
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ComputeFailure && error.status === 404) return undefined;
    throw error;
  }
}

async function unlessAborted<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (!signal) return work();
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work(), promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
