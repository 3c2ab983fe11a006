import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import {
  DisksClient,
  ImagesClient,
  InstancesClient,
  MachineTypesClient,
  ProjectsClient,
  ZoneOperationsClient,
  ZonesClient,
} from '@google-cloud/compute';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type ApiServer, serveApi } from '../gce-simulator/http-server.ts';
import { startMetadataServer } from '../gce-simulator/metadata-server.ts';
import { scriptedMachine } from '../gce-simulator/scripted-machine.ts';
import { createSimulator, type Simulator } from '../gce-simulator/simulator.ts';
import { createRunningTime } from '../gce-simulator/time.ts';

type ClientOptions = NonNullable<ConstructorParameters<typeof InstancesClient>[0]>;
type Clients = { instances: InstancesClient; operations: ZoneOperationsClient };
/** What the client has of an operation, as text where the API's enums are names. */
type Ended = {
  status: string;
  error?: { errors: { code: string; message: string; errorDetails?: unknown[] }[] } | null;
  httpErrorStatusCode?: number;
};
type Failure = { code: number; httpStatusCode?: number; message: string };

type AuthClient = NonNullable<ClientOptions['authClient']>;

/** The credentials library that the client itself uses, not another copy of it. */
const fromHere = createRequire(import.meta.url);
const fromClient = createRequire(fromHere.resolve('@google-cloud/compute'));
const { OAuth2Client, PassThroughClient } = createRequire(fromClient.resolve('google-gax'))(
  'google-auth-library',
) as {
  PassThroughClient: new () => AuthClient;
  OAuth2Client: new () => AuthClient & {
    setCredentials(credentials: { access_token: string; expiry_date: number }): void;
  };
};

const PLACE = { project: 'demo', zone: 'us-central1-a' };
/** Simulated seconds per second: a machine is up in a quarter of one. */
const SPEED = 30;

let simulator: Simulator;
let server: ApiServer;
let clients: Clients;

function options(authClient?: AuthClient): ClientOptions {
  return {
    apiEndpoint: server.host,
    port: server.port,
    protocol: 'http',
    projectId: 'demo',
    ...(authClient && { authClient }),
  };
}

beforeAll(async () => {
  const createMachine = scriptedMachine((guest) =>
    guest.print(`boot\nstartup-script: ${guest.attribute('startup-script')}`),
  );
  simulator = createSimulator({ time: createRunningTime({ speed: SPEED }), createMachine });
  server = await serveApi(simulator, { host: '127.0.0.1', port: 0 });
  const passThrough = options(new PassThroughClient());
  clients = {
    instances: new InstancesClient(passThrough),
    operations: new ZoneOperationsClient(passThrough),
  };
});
afterAll(() => server.close());
beforeEach(() => {
  simulator.calls.records.length = 0;
});

function request(name: string, changes: object = {}) {
  return {
    ...PLACE,
    instanceResource: {
      name,
      machineType: 'zones/us-central1-a/machineTypes/e2-standard-4',
      labels: { run: 'r1' },
      disks: [
        {
          boot: true,
          autoDelete: true,
          initializeParams: {
            sourceImage: 'projects/debian-cloud/global/images/family/debian-12',
            diskSizeGb: '10',
          },
        },
      ],
      networkInterfaces: [{ network: 'global/networks/default' }],
      scheduling: { provisioningModel: 'SPOT', instanceTerminationAction: 'DELETE' },
      metadata: { items: [{ key: 'startup-script', value: 'hello' }] },
      ...changes,
    },
  };
}

/** Waits as a caller must: again, while it is not DONE. */
async function ended([answer]: [{ latestResponse?: unknown }, ...unknown[]]): Promise<Ended> {
  let operation = answer.latestResponse as { name: string; status: string };
  while (operation.status !== 'DONE') {
    const [now] = await clients.operations.wait({ ...PLACE, operation: operation.name });
    operation = now as typeof operation;
  }
  return operation as unknown as Ended;
}

async function start(name: string, changes: object = {}): Promise<void> {
  const { error } = await ended(await clients.instances.insert(request(name, changes)));
  if (error) throw new Error(JSON.stringify(error));
}

async function failure(call: Promise<unknown>): Promise<Failure> {
  return call.then(
    () => Promise.reject(new Error('It was not refused.')),
    (error: Failure) => error,
  );
}

it('takes the credentials that a client brings, and none', async () => {
  const bearer = new OAuth2Client();
  bearer.setCredentials({ access_token: 'canned', expiry_date: Date.now() + 3_600_000 });
  await clients.instances.list(PLACE);
  await new InstancesClient(options(bearer)).list(PLACE);
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const credentials = { client_email: 'a@demo.iam.gserviceaccount.com', private_key: privateKey };
  // Without `scopes`, a client of another endpoint fetches a token from the real service for its key.
  await new InstancesClient({ ...options(), credentials, scopes: [] }).list(PLACE);
  expect(simulator.calls.records.map(({ authorization }) => authorization?.slice(0, 10))).toEqual([
    undefined,
    'Bearer can',
    'Bearer eyJ',
  ]);
});

it('gives a client in a machine its project and token through the metadata server', async () => {
  await start('inside', {
    serviceAccounts: [{ email: 'default', scopes: ['https://www.googleapis.com/auth/cloud-platform'] }],
  });
  const metadata = await startMetadataServer({
    metadata: simulator.metadata('inside'),
    host: '127.0.0.1',
    port: 0,
    token: 'of-the-machine',
  });
  process.env['GCE_METADATA_HOST'] = metadata.address;
  try {
    const { projectId: _none, ...rest } = options();
    const client = new InstancesClient(rest);
    await client.list(PLACE);
    expect(simulator.calls.records.at(-1)?.authorization).toBe('Bearer of-the-machine');
    expect(await client.getProjectId()).toBe('demo');
  } finally {
    delete process.env['GCE_METADATA_HOST'];
    await metadata.close();
  }
});

it('inserts a machine whose operation is waited for, and shows it as it was asked for', async () => {
  const answer = await clients.instances.insert({ ...request('vm-1'), requestId: randomUUID() });
  expect(answer[0].latestResponse).toMatchObject({
    name: expect.stringMatching(/^operation-/),
    status: 'PENDING',
  });
  expect((await ended(answer)).error ?? null).toBeNull();
  const [instance] = await clients.instances.get({ ...PLACE, instance: 'vm-1' });
  expect(instance).toMatchObject({
    id: expect.stringMatching(/^\d{19}$/),
    status: 'RUNNING',
    labels: { run: 'r1' },
    scheduling: { provisioningModel: 'SPOT', preemptible: true, instanceTerminationAction: 'DELETE' },
    metadata: { items: [{ key: 'startup-script', value: 'hello' }] },
    disks: [{ boot: true, autoDelete: true, diskSizeGb: '10' }],
  });
  const [serial] = await clients.instances.getSerialPortOutput({ ...PLACE, instance: 'vm-1', start: 5 });
  expect(serial).toMatchObject({ contents: 'startup-script: hello\n', start: '5', next: '27' });
});

it('refuses a name that is taken, a stale fingerprint and what does not exist, in the words of the service', async () => {
  await start('vm-2');
  expect(await failure(clients.instances.insert(request('vm-2')))).toMatchObject({
    httpStatusCode: 409,
    message: expect.stringContaining(
      "The resource 'projects/demo/zones/us-central1-a/instances/vm-2' already exists",
    ),
  });
  const stale = { ...PLACE, instance: 'vm-2', metadataResource: { fingerprint: 'AAAA', items: [] } };
  expect(await failure(clients.instances.setMetadata(stale))).toMatchObject({ httpStatusCode: 412 });
  const staleLabels = {
    ...PLACE,
    instance: 'vm-2',
    instancesSetLabelsRequestResource: { labelFingerprint: 'AAAA', labels: {} },
  };
  expect(await failure(clients.instances.setLabels(staleLabels))).toMatchObject({ httpStatusCode: 412 });
  expect(await failure(clients.instances.get({ ...PLACE, instance: 'none' }))).toMatchObject({
    httpStatusCode: 404,
  });
});

it('says a stock-out in the operation, details included', async () => {
  simulator.faults.add({ kind: 'stock-out', name: 'vm-3', wording: 'pool-exhausted-other-zones' });
  const operation = await ended(await clients.instances.insert(request('vm-3')));
  expect(operation.httpErrorStatusCode).toBe(503);
  expect(operation.error?.errors[0]).toMatchObject({
    code: 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
    errorDetails: [
      {},
      {},
      { errorInfo: { reason: 'resource_availability', metadatas: { zone: 'us-central1-a' } } },
    ],
  });
  simulator.faults.add({ kind: 'quota', name: 'vm-3' });
  const { error } = await ended(await clients.instances.insert(request('vm-3')));
  expect(error?.errors[0]).toMatchObject({
    code: 'QUOTA_EXCEEDED',
    message: "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.",
  });
});

it('writes metadata and labels under their fingerprints', async () => {
  await start('vm-4');
  const one = { ...PLACE, instance: 'vm-4' };
  const [{ metadata, labelFingerprint }] = await clients.instances.get(one);
  const items = [...(metadata?.items ?? []), { key: 'stop', value: '1' }];
  await ended(
    await clients.instances.setMetadata({
      ...one,
      metadataResource: { fingerprint: metadata?.fingerprint ?? '', items },
    }),
  );
  const labels = { run: 'r2' };
  const resource = { labelFingerprint: labelFingerprint ?? '', labels };
  await ended(await clients.instances.setLabels({ ...one, instancesSetLabelsRequestResource: resource }));
  const [now] = await clients.instances.get(one);
  expect(now.metadata?.items?.map(({ key }) => key)).toEqual(['startup-script', 'stop']);
  expect(now.labels).toEqual(labels);
});

it('lists by label, page by page, and over all zones with the reason why one is empty', async () => {
  for (const name of ['list-1', 'list-2']) await start(name, { labels: { run: 'list' } });
  const filter = 'labels.run=list AND status=RUNNING';
  const [found] = await clients.instances.list({ ...PLACE, filter });
  expect(found.map(({ name }) => name)).toEqual(['list-1', 'list-2']);
  simulator.calls.records.length = 0;
  const paged: unknown[] = [];
  for await (const { name } of clients.instances.listAsync({ ...PLACE, filter, maxResults: 1 }))
    paged.push(name);
  expect([paged, simulator.calls.count('instances.list')]).toEqual([['list-1', 'list-2'], 2]);
  const zones: Record<string, unknown> = {};
  for await (const [zone, scoped] of clients.instances.aggregatedListAsync({ project: 'demo', filter })) {
    zones[zone] = scoped.warning?.code ?? scoped.instances?.map(({ name }) => name);
  }
  expect(zones).toMatchObject({
    'zones/us-central1-a': ['list-1', 'list-2'],
    'zones/us-east1-b': 'NO_RESULTS_ON_PAGE',
  });
});

it('shows which calls the client repeats by itself: reads on 503, nothing else', async () => {
  await start('vm-5');
  const one = { ...PLACE, instance: 'vm-5' };
  simulator.faults.add({ kind: 'api-error', method: 'instances.get', status: 503 });
  expect((await clients.instances.get(one))[0].name).toBe('vm-5');
  simulator.faults.add({ kind: 'api-error', method: 'instances.list', status: 429 });
  expect(await failure(clients.instances.list(PLACE))).toMatchObject({ httpStatusCode: 429 });
  simulator.faults.add({ kind: 'api-error', method: 'instances.insert', status: 503, after: true });
  const requestId = randomUUID();
  expect(await failure(clients.instances.insert({ ...request('vm-6'), requestId }))).toMatchObject({
    httpStatusCode: 503,
  });
  const again = await ended(await clients.instances.insert({ ...request('vm-6'), requestId }));
  expect([again.error ?? null, simulator.calls.count('instances.insert')]).toEqual([null, 3]);
  simulator.faults.add({ kind: 'api-error', method: 'instances.stop', status: 502 });
  expect((await failure(clients.instances.stop(one))).message).toBeTruthy();
  simulator.faults.add({ kind: 'disconnect', method: 'instances.stop' });
  expect((await failure(clients.instances.stop(one))).message).toBeTruthy();
});

it('preempts, and tells so in the list of operations', async () => {
  await start('vm-7');
  simulator.preempt('vm-7');
  const filter = 'operationType="compute.instances.preempted"';
  const [operations] = await clients.operations.list({ ...PLACE, filter });
  expect(operations).toMatchObject([
    {
      status: 'DONE',
      statusMessage: 'Instance was preempted.',
      targetLink: expect.stringMatching(/\/instances\/vm-7$/),
    },
  ]);
});

it('stops, starts, resets and deletes, and leaves nothing', async () => {
  await start('vm-8');
  const one = { ...PLACE, instance: 'vm-8' };
  const status = async () => (await clients.instances.get(one))[0].status;
  await ended(await clients.instances.stop(one));
  expect(await status()).toBe('TERMINATED');
  await ended(await clients.instances.start(one));
  await ended(await clients.instances.reset(one));
  expect(await status()).toBe('RUNNING');
  await ended(await clients.instances.delete(one));
  expect(await failure(clients.instances.get(one))).toMatchObject({ httpStatusCode: 404 });
});

it('answers the other clients: disks, machine types, zones, images, the project and its quotas', async () => {
  const passThrough = options(new PassThroughClient());
  const boot = request('x').instanceResource.disks[0];
  await start('vm-9', { disks: [{ ...boot, autoDelete: false }] });
  await ended(await clients.instances.delete({ ...PLACE, instance: 'vm-9' }));
  const disks = new DisksClient(passThrough);
  const [left] = await disks.list({ ...PLACE, filter: 'name=vm-9' });
  expect(left).toMatchObject([{ name: 'vm-9', sizeGb: '10', users: [] }]);
  await ended(await disks.delete({ ...PLACE, disk: 'vm-9' }));
  const [type] = await new MachineTypesClient(passThrough).get({ ...PLACE, machineType: 'a2-highgpu-1g' });
  expect(type).toMatchObject({
    guestCpus: 12,
    accelerators: [{ guestAcceleratorType: 'nvidia-tesla-a100' }],
  });
  const [zones] = await new ZonesClient(passThrough).list({ project: 'demo' });
  expect(zones.map(({ name }) => name)).toContain('europe-west4-b');
  const [image] = await new ImagesClient(passThrough).getFromFamily({
    project: 'debian-cloud',
    family: 'debian-12',
  });
  expect(image).toMatchObject({ diskSizeGb: '10', family: 'debian-12' });
  const [project] = await new ProjectsClient(passThrough).get({ project: 'demo' });
  expect(project.quotas).toContainEqual(expect.objectContaining({ metric: 'GPUS_ALL_REGIONS', limit: 256 }));
});

it('is out of reach when it is not there', async () => {
  const nowhere = new InstancesClient({
    ...options(new PassThroughClient()),
    port: 9,
  });
  expect((await failure(nowhere.get({ ...PLACE, instance: 'x' }, { timeout: 3_000 }))).message).toBeTruthy();
});
