import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { classifyFailure } from '../../src/backends/gce/classify-failure.ts';
import type { ComputeCalls } from '../../src/backends/gce/compute-calls.ts';
import { createComputeClient } from '../../src/backends/gce/compute-client.ts';
import { type ApiServer, serveApi } from '../gce-simulator/http-server.ts';
import { type MetadataServer, startMetadataServer } from '../gce-simulator/metadata-server.ts';
import { createSimulator, type Simulator } from '../gce-simulator/simulator.ts';
import { createRunningTime } from '../gce-simulator/time.ts';
import { describeComputeCalls } from './compute-calls.ts';
import { A, CALLS, contractMachine, failureOf, insertion } from './compute-calls-kit.ts';

/** Simulated seconds per second: a machine is up in a seventh of one, and two minutes of waiting are two seconds. */
const SPEED = 60;

function newSimulator(): Simulator {
  return createSimulator({ time: createRunningTime({ speed: SPEED }), createMachine: contractMachine });
}

/** The service of the test that runs; all stand behind one address, as making a client takes a while. */
let simulator = newSimulator();
let server: ApiServer;
let calls: ComputeCalls;

beforeAll(async () => {
  const front: Simulator = {
    ...simulator,
    call: (request) => simulator.call(request),
    serviceNow: () => simulator.serviceNow(),
  };
  server = await serveApi(front, { host: '127.0.0.1', port: 0 });
  calls = createComputeClient({ projectId: 'demo', apiEndpoint: `http://127.0.0.1:${server.port}` });
  await calls.listInstances({ filter: '' });
});
afterAll(() => server.close());

describeComputeCalls('The client of the service', {
  open: async () => {
    simulator = newSimulator();
    return { calls, simulator, settled: (work) => work, dispose: async () => undefined };
  },
});

describe('credentials', () => {
  const KEY = 'GOOGLE_APPLICATION_CREDENTIALS';
  /** Nobody listens there, so that no token leaves this machine. */
  const NOWHERE = 'https://127.0.0.1:9';
  let metadata: MetadataServer | undefined;
  beforeEach(() => {
    simulator = newSimulator();
    vi.stubEnv(KEY, '/nowhere/key.json');
    vi.stubEnv('CLOUDSDK_CONFIG', '/nowhere');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await metadata?.close();
    metadata = undefined;
  });

  /** From now on this is a rented machine that has these accounts. */
  async function moveTo(name: string, accounts: { email: string; scopes: string[] }[]): Promise<void> {
    await calls.insertInstance(insertion(name, { serviceAccounts: accounts }));
    metadata = await startMetadataServer({ metadata: simulator.metadata(name), host: '127.0.0.1', port: 0 });
    vi.stubEnv(KEY, undefined);
    vi.stubEnv('GCE_METADATA_HOST', metadata.address);
  }

  const told = async (call: Promise<unknown>) => {
    const failure = await failureOf(call);
    return [failure.status, failure.reason, failure.message, classifyFailure(failure)];
  };
  const NONE = [401, 'noCredentials', 'Goldfish found no valid credentials for Google Cloud.', 'refused'];

  it('are not sent over plain HTTP', async () => {
    const fresh = createComputeClient({ projectId: 'demo', apiEndpoint: `http://127.0.0.1:${server.port}` });
    for (const [, , call] of CALLS) await call(fresh).catch(() => undefined);
    const { records } = simulator.calls;
    expect(records.map(({ id }) => id)).toEqual(CALLS.map(([, id]) => id));
    expect(records.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });

  /** A client of what is taken for Google's own address. */
  const clientOfGoogle = (): ComputeCalls =>
    createComputeClient({ projectId: 'demo', apiEndpoint: NOWHERE, isGoogle: () => true });

  it('are neither looked for nor sent where the address is not Google’s', async () => {
    const client = createComputeClient({ projectId: 'demo', apiEndpoint: NOWHERE });
    // It would have said that there are none.
    expect(await told(client.getInstance({ zone: A, name: 'm1' }))).toEqual([
      undefined,
      undefined,
      'The connection to Compute Engine broke (ECONNREFUSED).',
      'passing',
    ]);
  });

  it.each([null, 'https://compute-mine.p.googleapis.com', 'https://restricted.googleapis.com'])(
    'are wanted by Google’s own address: %s',
    async (apiEndpoint) => {
      const client = createComputeClient({ projectId: 'demo', apiEndpoint });
      expect(await told(client.getInstance({ zone: A, name: 'm1' }))).toEqual(NONE);
    },
  );

  it('are missed where there are none, and looked for anew by the next call', async () => {
    const client = clientOfGoogle();
    expect(await told(client.getInstance({ zone: A, name: 'm1' }))).toEqual(NONE);
    await moveTo('inside', [
      { email: 'default', scopes: ['https://www.googleapis.com/auth/cloud-platform'] },
    ]);
    expect(await told(client.getInstance({ zone: A, name: 'm1' }))).toEqual([
      undefined,
      undefined,
      'The connection to Compute Engine broke (ECONNREFUSED).',
      'passing',
    ]);
  });

  it('that are refused are no answer of the service: not even that there is no such machine', async () => {
    // Its metadata server says 404 to whoever asks for a token.
    await moveTo('bare', []);
    const client = clientOfGoogle();
    expect(await told(client.getInstance({ zone: A, name: 'm1' }))).toEqual(NONE);
  });
});

const BROKE = 'The connection to Compute Engine broke (no whole answer).';

describe('a service that does not answer', () => {
  let other: Server | undefined;
  let requests = 0;
  afterEach(() => {
    other?.closeAllConnections();
    other?.close();
  });

  /** A client of something else that listens here. */
  async function clientOf(listener: RequestListener, limitMs?: number): Promise<ComputeCalls> {
    requests = 0;
    const listening = createServer((request, response) => {
      requests += 1;
      listener(request, response);
    });
    other = listening;
    await new Promise<void>((resolve) => {
      listening.listen(0, '127.0.0.1', resolve);
    });
    const { port } = listening.address() as AddressInfo;
    const apiEndpoint = `http://127.0.0.1:${port}`;
    return createComputeClient({
      projectId: 'demo',
      apiEndpoint,
      ...(limitMs === undefined ? {} : { limitMs }),
    });
  }

  const told = async (call: Promise<unknown>) => {
    const failure = await failureOf(call);
    return [failure.status, failure.message, classifyFailure(failure)];
  };

  it('is given up when the time of a call is over, and asked once', async () => {
    const slow = await clientOf(() => undefined, 5_000);
    const began = performance.now();
    expect(await told(slow.getInstance({ zone: A, name: 'm1' }))).toEqual([
      undefined,
      'Compute Engine did not answer within 5 s.',
      'passing',
    ]);
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(requests).toBe(1);
  });

  it('is given up as well where it goes silent in the middle of an answer', async () => {
    const slow = await clientOf((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"name":');
    }, 5_000);
    expect(await told(slow.getInstance({ zone: A, name: 'm1' }))).toEqual([
      undefined,
      'Compute Engine did not answer within 5 s.',
      'passing',
    ]);
  });

  it('is let go of when the call is aborted', async () => {
    let closed = false;
    const slow = await clientOf((request) => {
      request.socket.once('close', () => {
        closed = true;
      });
    });
    const stop = new AbortController();
    const reason = new Error('called off');
    const asking = slow.listInstances({ filter: '' }, { signal: stop.signal });
    const ended = expect(asking).rejects.toBe(reason);
    await expect.poll(() => requests, { timeout: 30_000 }).toBe(1);
    stop.abort(reason);
    await ended;
    await expect.poll(() => closed, { timeout: 30_000 }).toBe(true);
  });

  it.each([
    ['a page of somebody else', '<html>Sign in to this network</html>', BROKE],
    ['half of an answer', '{"name": "m1", "zone":', BROKE],
    [
      'an answer without a name',
      '{"kind": "compute#instance"}',
      'The answer of Compute Engine could not be read.',
    ],
  ])('is not believed where what comes is %s', async (_what, body, message) => {
    const odd = await clientOf((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    });
    expect(await told(odd.getInstance({ zone: A, name: 'm1' }))).toEqual([undefined, message, 'passing']);
    expect(requests).toBe(1);
  });

  it('is out of reach where nobody listens', async () => {
    const gone = await clientOf(() => undefined);
    await new Promise((resolve) => other?.close(resolve));
    expect(await told(gone.getInstance({ zone: A, name: 'm1' }))).toEqual([
      undefined,
      'The connection to Compute Engine broke (ECONNREFUSED).',
      'passing',
    ]);
  });
});
