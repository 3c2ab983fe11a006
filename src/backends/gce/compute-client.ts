import { withinLimit } from './call-limit.ts';
import {
  readAllInstances,
  readContents,
  readInstance,
  readOperation,
  readStarted,
  readZoneInstances,
  readZoneOperations,
  type VendorAnswer,
} from './compute-answers.ts';
import { type CallOptions, type ComputeCalls, ComputeFailure } from './compute-calls.ts';
import { createConnection, type VendorClients, type VendorOptions } from './compute-connection.ts';
import { computeEndpoint } from './compute-endpoint.ts';
import { computeFailure } from './compute-error.ts';

export type ComputeClientOptions = {
  projectId: string;
  /** Of an emulator, or of a private way to the service: `https://…`, or `http://…` on this machine. Null: the service. */
  apiEndpoint: string | null;
  /** How long a call may take in all, in milliseconds (60,000). */
  limitMs?: number;
  /** Whether an address may be shown the credentials; by default those of Google's APIs. */
  isGoogle?: (url: URL) => boolean;
};

const LIMIT_MS = 60_000;
/** The service answers a wait after two minutes at the latest. */
const LONGEST_WAIT_MS = 120_000;
const SERIAL_PORT = 1;
/** More than a boot writes, and little to keep. */
const SERIAL_BYTES = 64 << 10;

/** One request of the vendor's client; what it throws becomes a ComputeFailure. */
type Send = (
  request: (clients: VendorClients, options: VendorOptions) => Promise<VendorAnswer>,
) => Promise<VendorAnswer>;

/**
 * The Compute API through the vendor's client, which is imported with the first call. The credentials that this machine
 * has (Application Default Credentials) are sent to Google's own addresses, and to no other. Nothing is asked twice.
 * Errors: INVALID_CONFIG for an endpoint that is none; those of the port.
 */
export function createComputeClient(options: ComputeClientOptions): ComputeCalls {
  const { projectId: project, apiEndpoint, limitMs = LIMIT_MS, isGoogle } = options;
  const endpoint = computeEndpoint(apiEndpoint);
  const connection = createConnection({ projectId: project, endpoint, isGoogle });
  const within = <T>(ms: number, call: CallOptions, work: (send: Send) => Promise<T>): Promise<T> =>
    withinLimit({ limitMs: ms, signal: call.signal }, (signal) =>
      work(async (request) => {
        const clients = await connection();
        try {
          return await request(clients, { timeout: ms, retry: null, autoPaginate: false, signal });
        } catch (error) {
          throw computeFailure(error);
        }
      }),
    );
  return {
    insertInstance: ({ zone, requestId, body }, call = {}) =>
      within(limitMs, call, async (send) => {
        const request = { project, zone, requestId, instanceResource: body };
        return readStarted(await send((clients, how) => clients.insert(request, how)));
      }),
    waitOperation: ({ zone, operation }, call = {}) =>
      within(LONGEST_WAIT_MS + limitMs, call, async (send) => {
        const request = { project, zone, operation };
        return readOperation(await send((clients, how) => clients.waitOperation(request, how)));
      }),
    getInstance: ({ zone, name }, call = {}) =>
      within(limitMs, call, (send) =>
        unlessMissing(async () => {
          const request = { project, zone, instance: name };
          return readInstance(await send((clients, how) => clients.get(request, how)));
        }),
      ),
    deleteInstance: ({ zone, name, requestId }, call = {}) =>
      within(limitMs, call, (send) =>
        unlessMissing(async () => {
          const request = { project, zone, instance: name, requestId };
          return readStarted(await send((clients, how) => clients.delete(request, how)));
        }),
      ),
    listInstances: ({ zone, filter }, call = {}) =>
      within(limitMs, call, (send) => {
        const request = { project, filter };
        if (zone === undefined) {
          return readAllInstances((page) =>
            send((clients, how) => clients.aggregatedList({ ...request, ...page }, how)),
          );
        }
        return readZoneInstances(zone, (page) =>
          send((clients, how) => clients.list({ ...request, zone, ...page }, how)),
        );
      }),
    listOperations: ({ zone, filter }, call = {}) =>
      within(limitMs, call, (send) =>
        readZoneOperations((page) =>
          send((clients, how) => clients.listOperations({ project, zone, filter, ...page }, how)),
        ),
      ),
    serialOutput: ({ zone, name }, call = {}) =>
      within(limitMs, call, async (send) => {
        // A negative start counts from the end.
        const request = { project, zone, instance: name, port: SERIAL_PORT, start: -SERIAL_BYTES };
        return readContents(await send((clients, how) => clients.serialPort(request, how)));
      }),
  };
}

async function unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ComputeFailure && error.status === 404) return undefined;
    throw error;
  }
}
