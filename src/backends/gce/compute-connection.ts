import type { PassThroughClient } from 'google-auth-library';
import { isGoogleApi } from '../../core/google-api.ts';
import type { VendorAnswer } from './compute-answers.ts';
import type { InstanceBody } from './compute-calls.ts';
import type { ComputeEndpoint } from './compute-endpoint.ts';
import { credentialsFailure } from './compute-error.ts';

/** `retry: null`: the client sends a request once. `autoPaginate: false`: it gives every page by itself. */
export type VendorOptions = { timeout: number; retry: null; autoPaginate: false; signal: AbortSignal };

type VendorCall<Request> = (request: Request, options: VendorOptions) => Promise<VendorAnswer>;
type InProject = { project: string };
type InZone = InProject & { zone: string };
type OfMachine = InZone & { instance: string };
type Listing = { filter: string; maxResults: number; pageToken?: string };

/** The part of the vendor's clients that is called here. */
export type VendorClients = {
  insert: VendorCall<InZone & { requestId: string; instanceResource: InstanceBody }>;
  get: VendorCall<OfMachine>;
  delete: VendorCall<OfMachine & { requestId: string }>;
  list: VendorCall<InZone & Listing>;
  aggregatedList: VendorCall<InProject & Listing>;
  serialPort: VendorCall<OfMachine & { port: number; start: number }>;
  waitOperation: VendorCall<InZone & { operation: string }>;
  listOperations: VendorCall<InZone & Listing>;
};

export type ConnectionOptions = {
  projectId: string;
  /** Undefined: the service itself. */
  endpoint: ComputeEndpoint | undefined;
  /** Whether an address may be shown the credentials; by default those of Google's APIs. */
  isGoogle?: ((url: URL) => boolean) | undefined;
};

/**
 * The clients, with something to sign the next request with. They are made when they are first asked for: importing
 * them takes more than a second and 110 MB. Where no credentials were found they are made anew the next time: somebody
 * may have signed in meanwhile.
 * Errors: ComputeFailure.
 */
export function createConnection(options: ConnectionOptions): () => Promise<VendorClients> {
  let made: Promise<Connection> | undefined;
  return async () => {
    made ??= connect(options);
    const current = made;
    try {
      const { clients, authorize } = await current;
      await authorize();
      return clients;
    } catch (error) {
      if (made === current) made = undefined;
      throw error;
    }
  };
}

type Connection = { clients: VendorClients; authorize: () => Promise<void> };

async function connect({ projectId, endpoint, isGoogle }: ConnectionOptions): Promise<Connection> {
  const { InstancesClient, ZoneOperationsClient } = await import('@google-cloud/compute');
  const options = { projectId, ...endpoint, ...(await signerFor(endpoint, isGoogle)) };
  const instances = new InstancesClient(options);
  const operations = new ZoneOperationsClient({ ...options, auth: instances.auth });
  const authorized = async (work: Promise<unknown>): Promise<void> => {
    await work.catch((error: unknown) => {
      throw credentialsFailure(error);
    });
  };
  // A call would do it by itself, and leave a rejection behind that nobody can catch.
  await authorized(Promise.all([instances.initialize(), operations.initialize()]));
  return {
    // Before each request, so that a refusal of whoever gives out tokens is not taken for one of the service.
    authorize: () => authorized(instances.auth.getRequestHeaders()),
    clients: {
      insert: (request, call) => instances.insert(request, call),
      get: (request, call) => instances.get(request, call),
      delete: (request, call) => instances.delete(request, call),
      list: (request, call) => instances.list(request, call),
      aggregatedList: (request, call) => untyped(instances.innerApiCalls['aggregatedList'], request, call),
      serialPort: (request, call) => instances.getSerialPortOutput(request, call),
      waitOperation: (request, call) => operations.wait(request, call),
      listOperations: (request, call) => operations.list(request, call),
    },
  };
}

/** Whoever is not Google is not told who asks, be it an emulator or a proxy: the token is good for all of Google. */
async function signerFor(
  endpoint: ComputeEndpoint | undefined,
  isGoogle: (url: URL) => boolean = isGoogleApi,
): Promise<{ authClient?: PassThroughClient }> {
  if (endpoint === undefined || isGoogle(addressOf(endpoint))) return {};
  const { PassThroughClient: Nobody } = await import('google-auth-library');
  return { authClient: new Nobody() };
}

/** The client's public form of this call does not show which zones did not answer. */
async function untyped(call: unknown, request: object, options: VendorOptions): Promise<VendorAnswer> {
  if (typeof call !== 'function') throw new TypeError('the client of Compute Engine has no such call');
  const answer: VendorAnswer = await call(request, options);
  return answer;
}

function addressOf({ protocol, apiEndpoint, port }: ComputeEndpoint): URL {
  return new URL(`${protocol}://${apiEndpoint}:${port}`);
}
