import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createGoogleAccess } from '../../src/backends/gce/google-access.ts';
import { GCE_PROFILES } from '../../src/config/gce-profiles.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemIds } from '../../src/core/ids.ts';
import { examineGce } from '../../src/doctor/check-gce.ts';
import { createGcsStorage } from '../../src/storage/gcs/gcs-storage.ts';
import { type ApiServer, serveApi } from '../gce-simulator/http-server.ts';
import { createMetadata } from '../gce-simulator/metadata.ts';
import { type MetadataServer, startMetadataServer } from '../gce-simulator/metadata-server.ts';
import { createSimulator, type Simulator } from '../gce-simulator/simulator.ts';
import { createRunningTime } from '../gce-simulator/time.ts';
import { GcsEmulator } from '../gcs-emulator/emulator.ts';
import { createTestProject } from '../support/project.ts';
import { goldfish } from './cli-program.ts';

const signal = new AbortController().signal;

describe('the doctor against simulators', () => {
  let simulator: Simulator;
  let compute: ApiServer;
  let bucket: GcsEmulator;
  beforeAll(async () => {
    simulator = createSimulator({ time: createRunningTime() });
    compute = await serveApi(simulator, { host: '127.0.0.1', port: 0 });
    bucket = await GcsEmulator.start();
    bucket.buckets.create({ name: 'bucket-1' });
  });
  afterAll(() => Promise.all([compute.close(), bucket.stop()]));

  it('finds what they rent out and store, changes nothing, and names what only Google knows', async () => {
    const apiEndpoint = `http://${compute.host}:${compute.port}`;
    const clock = systemClock;
    const findings = await examineGce({
      gce: {
        projectId: 'demo',
        zones: ['us-central1-a', 'us-east1-c'],
        serviceAccount: 'worker@demo.iam.gserviceaccount.com',
        network: 'default',
        subnetwork: null,
        externalAddress: true,
        artifactRegistry: '127.0.0.1:5000/goldfish',
        apiEndpoint,
        maxParallel: 1,
        profiles: GCE_PROFILES,
        warmPool: {
          enabled: true,
          maxInstances: 1,
          idleTimeoutSeconds: 60,
          profiles: null,
          watchdogSeconds: 300,
        },
      },
      gcs: { bucket: 'bucket-1', apiEndpoint: bucket.url },
      access: createGoogleAccess(),
      storage: createGcsStorage({ bucket: 'bucket-1', prefix: 'p/', apiEndpoint: bucket.url, clock }),
      registry: { digest: async () => undefined },
      clock,
      ids: systemIds,
    });
    const by = (state: string): string[] =>
      findings.filter((finding) => finding.state === state).map(({ component }) => component);
    expect([by('failed'), by('warning')]).toEqual([[], []]);
    expect(findings.find(({ component }) => component === 'profile a100-spot')?.detail).toBe(
      'a2-highgpu-1g is for rent in us-central1-a',
    );
    expect(by('not_checked')).toEqual([
      'credentials',
      'permissions',
      'quota of cpu-large',
      'network',
      'subnetwork',
      'machine account',
      'bucket settings',
      'bucket for machines',
      'registry repository',
      'registry push',
      'registry for machines',
    ]);
    expect(bucket.buckets.bucket('bucket-1').objects.size).toBe(0);
    expect(simulator.calls.records.filter(({ method }) => method !== 'GET')).toEqual([]);
    expect(simulator.calls.records.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });

  it('is behind the command, which ends with 0 where nothing has failed', async () => {
    const registry = createServer((_request, response) => {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    const { port } = registry.address() as AddressInfo;
    const project = createTestProject({
      config: `storage: { gcs: { bucket: bucket-1, api_endpoint: '${bucket.url}' } }
gce:
  project_id: demo
  zones: [us-central1-a]
  service_account: worker@demo.iam.gserviceaccount.com
  artifact_registry: 127.0.0.1:${port}/goldfish
  api_endpoint: http://${compute.host}:${compute.port}
`,
    });
    try {
      const { code, out } = await goldfish(['doctor', '--gce'], { cwd: project.root });
      expect(out).toMatch(/^zones +ok +us-central1-a$/m);
      expect(out).toMatch(/^bucket delete +ok +gs:\/\/bucket-1$/m);
      expect(out).toMatch(/^registry +ok +127\.0\.0\.1:\d+\/goldfish lets Goldfish in$/m);
      expect(out).toMatch(/^credentials +not checked +an emulator is configured$/m);
      expect({ code, failed: out.includes('failed') }).toEqual({ code: 0, failed: false });
    } finally {
      await project.dispose();
      await new Promise((resolve) => registry.close(resolve));
    }
  });
});

describe('the credentials of this machine', () => {
  let service: Server;
  let metadata: MetadataServer;
  let home: string;
  const seen: { headers: IncomingHttpHeaders; method: string; body: string }[] = [];
  let url = '';
  beforeAll(async () => {
    service = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        seen.push({ headers: request.headers, method: request.method ?? '', body });
        response.writeHead(request.url === '/html' ? 502 : 403, { 'content-type': 'application/json' });
        response.end(request.url === '/html' ? '<html>' : '{"error":{"code":403}}');
      });
    });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`;
    const accounts = { default: { email: 'goldfish@p.iam.gserviceaccount.com' } };
    const tree = () => ({ instance: { 'service-accounts': accounts } });
    metadata = await startMetadataServer({
      metadata: createMetadata({ time: createRunningTime(), tree }),
      host: '127.0.10.253',
      port: 0,
      token: 't1',
    });
  });
  afterAll(async () => {
    service.closeAllConnections();
    await new Promise((resolve) => service.close(resolve));
    await metadata.close();
  });
  beforeEach(() => {
    seen.length = 0;
    home = mkdtempSync(`${tmpdir()}/goldfish-home-`);
    // Nothing of whoever runs the tests.
    vi.stubEnv('HOME', home);
    vi.stubEnv('CLOUDSDK_CONFIG', home);
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined);
    vi.stubEnv('GCE_METADATA_HOST', metadata.address);
    vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(home, { recursive: true, force: true });
  });

  it('are those of its service account, and sign what is asked of Google', async () => {
    const access = createGoogleAccess({ isGoogle: () => true });
    expect(await access.account({ signal })).toEqual({ email: 'goldfish@p.iam.gserviceaccount.com' });
    const body = { permissions: ['a.b'] };
    expect(await access.ask({ method: 'POST', url, body, signal })).toEqual({
      status: 403,
      body: { error: { code: 403 } },
    });
    const [asked] = seen;
    expect(asked?.headers.authorization).toBe('Bearer t1');
    expect(JSON.parse(asked?.body ?? '')).toEqual(body);
  });

  it('are shown to nobody else', async () => {
    const access = createGoogleAccess();
    expect(await access.ask({ method: 'GET', url: `${url}html`, signal })).toEqual({
      status: 502,
      body: '<html>',
    });
    expect(seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it('are said to be missing where there are none', async () => {
    vi.stubEnv('METADATA_SERVER_DETECTION', 'none');
    const access = createGoogleAccess({ isGoogle: () => true });
    const refusal = {
      code: 'BACKEND_UNAVAILABLE',
      message: 'This machine has no valid credentials of Google.',
      details: { credentials: true },
    };
    await expect(access.account({ signal })).rejects.toMatchObject(refusal);
    await expect(access.ask({ method: 'GET', url, signal })).rejects.toMatchObject(refusal);
    expect(seen).toEqual([]);
  });

  it('are not blamed where nobody answers', async () => {
    const [signed, plain] = [await deadPort(), await deadPort()];
    const access = createGoogleAccess({ isGoogle: ({ port }) => port === `${signed}` });
    for (const port of [signed, plain]) {
      const asked = access.ask({ method: 'GET', url: `http://127.0.0.1:${port}/`, signal });
      await expect(asked).rejects.toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
        message: `127.0.0.1:${port} does not answer (ECONNREFUSED).`,
        retryable: true,
        details: {},
      });
    }
  });
});

/** A port on which somebody has just stopped to listen. */
async function deadPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
