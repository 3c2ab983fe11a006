import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiServer, serveApi } from '../gce-simulator/http-server.ts';
import { scriptedMachine } from '../gce-simulator/scripted-machine.ts';
import { createSimulator, type Simulator } from '../gce-simulator/simulator.ts';
import { createRunningTime } from '../gce-simulator/time.ts';
import { GcsEmulator } from '../gcs-emulator/emulator.ts';
import { type Ended, start } from './cli-program.ts';

/** Clients that nobody here has written: what they take for Google is near enough to it. */
const hasGcloud = (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
  try {
    accessSync(join(folder, 'gcloud'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});
const NEEDS_GCLOUD = hasGcloud
  ? ''
  : ' (needs gcloud: by hand, as https://cloud.google.com/sdk/docs/install says)';

const ZONE = 'us-central1-a';
/** Each command takes seconds to start. */
const PATIENT = { timeout: 240_000 };

let folder: string;
let simulator: Simulator;
let compute: ApiServer;
let storage: GcsEmulator;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-gcloud-'));
  const createMachine = scriptedMachine((guest) => guest.print('goldfish: hello'));
  simulator = createSimulator({ time: createRunningTime({ speed: 30 }), createMachine });
  compute = await serveApi(simulator, { host: '127.0.0.1', port: 0 });
  storage = await GcsEmulator.start();
});
afterAll(async () => {
  await Promise.all([compute.close(), storage.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** Nothing of whoever runs the tests: no account, no setting, no log. */
function environment(): Record<string, string> {
  return {
    HOME: folder,
    CLOUDSDK_CONFIG: join(folder, 'config'),
    CLOUDSDK_CORE_PROJECT: 'demo',
    CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
    CLOUDSDK_CORE_CHECK_GCE_METADATA: 'false',
    CLOUDSDK_CORE_DISABLE_FILE_LOGGING: 'true',
    CLOUDSDK_CORE_DISABLE_PROMPTS: 'true',
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
    CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: 'true',
    CLOUDSDK_STORAGE_PROCESS_COUNT: '1',
    CLOUDSDK_STORAGE_THREAD_COUNT: '1',
    CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE: `http://${compute.host}:${compute.port}/compute/v1/`,
    CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE: `${storage.url}/storage/v1/`,
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
  };
}

function gcloud(...words: string[]): Promise<Ended> {
  return start(['gcloud', ...words], { cwd: folder, stdin: '', env: environment() }).ended;
}

/** What a command printed that has to succeed. */
async function done(...words: string[]): Promise<string> {
  const { code, out, err } = await gcloud(...words);
  expect({ words, code, err: code === 0 ? '' : err }).toEqual({ words, code: 0, err: '' });
  return out;
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

describe.skipIf(!hasGcloud)(`gcloud storage against the emulator${NEEDS_GCLOUD}`, PATIENT, () => {
  it('makes a bucket, copies files there, lists, reads, moves and deletes them', async () => {
    await done('storage', 'buckets', 'create', 'gs://oracle', '--location=us');
    const [small, large] = ['small.txt', 'large.bin'].map((name) => join(folder, name)) as [string, string];
    writeFileSync(small, 'goldfish\n');
    writeFileSync(large, Buffer.alloc(9 << 20, 'g'));
    await done('storage', 'cp', small, large, 'gs://oracle/in/');
    expect(lines(await done('storage', 'ls', 'gs://oracle/in/'))).toEqual([
      'gs://oracle/in/large.bin',
      'gs://oracle/in/small.txt',
    ]);
    expect(await done('storage', 'cat', 'gs://oracle/in/small.txt')).toBe('goldfish\n');
    const copy = join(folder, 'copy.bin');
    await done('storage', 'cp', 'gs://oracle/in/large.bin', copy);
    expect(readFileSync(copy).equals(readFileSync(large))).toBe(true);
    await done('storage', 'mv', 'gs://oracle/in/small.txt', 'gs://oracle/out/small.txt');
    await done('storage', 'rm', '--recursive', 'gs://oracle/in/');
    expect(lines(await done('storage', 'ls', '--recursive', 'gs://oracle'))).toContain(
      'gs://oracle/out/small.txt',
    );
    expect([...storage.buckets.bucket('oracle').objects.keys()]).toEqual(['out/small.txt']);
  });

  it('keeps the condition that a write is made under', async () => {
    storage.buckets.create({ name: 'conditions' });
    const file = join(folder, 'once.txt');
    writeFileSync(file, 'once\n');
    await done('storage', 'cp', '--if-generation-match=0', file, 'gs://conditions/once.txt');
    const again = await gcloud('storage', 'cp', '--if-generation-match=0', file, 'gs://conditions/once.txt');
    expect(again.code).not.toBe(0);
    expect(again.err).toContain('412');
  });
});

describe.skipIf(!hasGcloud)(`gcloud compute against the simulator${NEEDS_GCLOUD}`, PATIENT, () => {
  it('knows zones and machine types', async () => {
    const zones = lines(await done('compute', 'zones', 'list', '--format=value(name)'));
    expect(zones).toContain(ZONE);
    const filter = ['--filter=name=n2-standard-4', `--zones=${ZONE}`, '--format=value(name,guestCpus)'];
    expect(lines(await done('compute', 'machine-types', 'list', ...filter))).toEqual(['n2-standard-4\t4']);
  });

  it('rents a machine, reads its console, stops it and gives it back', async () => {
    const place = [`--zone=${ZONE}`];
    const image = ['--image-family=debian-12', '--image-project=debian-cloud'];
    await done(
      ...['compute', 'instances', 'create', 'oracle-1', ...place, '--machine-type=n2-standard-4', ...image],
      ...['--labels=made-by=gcloud', '--metadata=a=b'],
    );
    const shown = JSON.parse(
      await done('compute', 'instances', 'describe', 'oracle-1', ...place, '--format=json'),
    );
    expect(shown).toMatchObject({ name: 'oracle-1', status: 'RUNNING', labels: { 'made-by': 'gcloud' } });
    const listed = ['compute', 'instances', 'list', '--filter=labels.made-by=gcloud', '--format=value(name)'];
    expect(lines(await done(...listed))).toEqual(['oracle-1']);
    expect(await done('compute', 'instances', 'get-serial-port-output', 'oracle-1', ...place)).toContain(
      'goldfish: hello',
    );
    await done('compute', 'instances', 'stop', 'oracle-1', ...place);
    expect(simulator.instances().map(({ status }) => status)).toEqual(['TERMINATED']);
    await done('compute', 'instances', 'delete', 'oracle-1', ...place, '--quiet');
    expect([simulator.instances(), simulator.disks()]).toEqual([[], []]);
  });

  it('says of a machine that is not there what it says of Google’s', async () => {
    const { code, err } = await gcloud('compute', 'instances', 'describe', 'nobody', `--zone=${ZONE}`);
    expect(code).not.toBe(0);
    expect(err).toContain(`The resource 'projects/demo/zones/${ZONE}/instances/nobody' was not found`);
  });
});
