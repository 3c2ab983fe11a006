import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { instanceRequest } from '../gce-simulator/fast-simulator.ts';
import { createMetadata } from '../gce-simulator/metadata.ts';
import { type MetadataServer, startMetadataServer } from '../gce-simulator/metadata-server.ts';
import { createRunningTime } from '../gce-simulator/time.ts';

const MAIN = fileURLToPath(new URL('../gce-simulator/main.ts', import.meta.url));
const GOOGLE = { 'Metadata-Flavor': 'Google' };
/** A busy machine takes its time. */
const PATIENT = { timeout: 60_000 };

describe('a metadata server', () => {
  let job = '1';
  const metadata = createMetadata({
    time: createRunningTime(),
    tree: () => ({
      instance: { attributes: { job }, name: 'm1', 'service-accounts': { default: { email: 'a@b' } } },
    }),
  });
  let server: MetadataServer;
  beforeAll(async () => {
    server = await startMetadataServer({ metadata, host: '127.0.10.254', port: 0, token: 't1' });
  });
  afterAll(() => server.close());

  const ask = (
    path: string,
    headers: Record<string, string> = GOOGLE,
    init: RequestInit = {},
  ): Promise<Response> =>
    fetch(`http://${server.address}/computeMetadata/v1/${path}`, { headers, redirect: 'manual', ...init });

  it('answers nobody who does not say that it means it, nor on behalf of others', async () => {
    expect((await ask('instance/name', {})).status).toBe(403);
    expect((await ask('instance/name', { ...GOOGLE, 'X-Forwarded-For': '10.0.0.1' })).status).toBe(403);
    expect((await ask('instance/name', GOOGLE, { method: 'PUT', body: 'm2' })).status).toBe(405);
    expect((await fetch(`http://${server.address}/`)).headers.get('metadata-flavor')).toBe('Google');
  });

  it('gives values, folders, JSON and tokens, each with its ETag', async () => {
    const name = await ask('instance/name');
    expect([name.status, await name.text(), name.headers.get('metadata-flavor')]).toEqual([
      200,
      'm1',
      'Google',
    ]);
    expect(name.headers.get('etag')).toMatch(/^[0-9a-f]{16}$/);
    expect(await (await ask('instance/?recursive=true')).json()).toMatchObject({ attributes: { job: '1' } });
    const folder = await ask('instance');
    expect([folder.status, folder.headers.get('location')]).toEqual([301, '/computeMetadata/v1/instance/']);
    expect(await (await ask('instance/service-accounts/default/token')).json()).toEqual({
      access_token: 't1',
      expires_in: 3599,
      token_type: 'Bearer',
    });
    expect((await ask('instance/service-accounts/other/token')).status).toBe(404);
  });

  it('holds a request until the value is another one, or its time is up', async () => {
    const path = 'instance/attributes/job?wait_for_change=true';
    const timed = await ask(`${path}&timeout_sec=0`);
    expect(await timed.text()).toBe('1');
    const waiting = ask(`${path}&last_etag=${timed.headers.get('etag')}`);
    job = '2';
    metadata.changed();
    expect(await (await waiting).text()).toBe('2');
    expect(await (await ask(`${path}&last_etag=0`)).text()).toBe('2');
  });
});

describe('the simulator that people start', () => {
  let child: ChildProcess;
  const lines: string[] = [];
  let endpoint = '';

  beforeAll(async () => {
    const options = ['--port', '0', '--speed', '100', '--metadata-port', '0'];
    child = spawn(process.execPath, [MAIN, ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
    const output = createInterface({ input: child.stdout! });
    output.on('line', (line) => lines.push(line));
    const [first] = (await once(output, 'line')) as [string];
    endpoint = /http:\/\/[\d.:]+\d/.exec(first)?.[0] ?? '';
  });
  afterAll(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    await ended;
  });

  const json = async (path: string, body?: unknown) => {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const response = await fetch(`${endpoint}${path}`, init);
    return { status: response.status, body: JSON.parse(await response.text()) };
  };

  it('says where it answers, runs machines with their metadata, takes faults, and shows what happened', async () => {
    const zone = '/compute/v1/projects/demo/zones/us-central1-a';
    const wrong = await json('/simulator/faults', { kind: 'stock-out', wording: 'none left' });
    expect([wrong.status, wrong.body.error]).toEqual([400, expect.stringContaining('wording')]);
    await json('/simulator/faults', { kind: 'stock-out', name: 'm1' });
    const run = async (name: string) => {
      const request = instanceRequest({ name, scheduling: { provisioningModel: 'SPOT' } });
      let operation = (await json(`${zone}/instances`, request)).body;
      while (operation.status !== 'DONE')
        operation = (await json(`${zone}/operations/${operation.name}/wait`, {})).body;
      return operation.error?.errors[0].code;
    };
    expect([await run('m1'), await run('m2')]).toEqual(['ZONE_RESOURCE_POOL_EXHAUSTED', undefined]);
    const said = () => lines.find((line) => line.startsWith('m2:'));
    await expect
      .poll(said, PATIENT)
      .toMatch(/^m2: metadata at http:\/\/127\.0\.10\.\d+:\d+\/computeMetadata\/v1\/$/);
    const address = /http:\S+/.exec(said() ?? '')?.[0];
    expect(await (await fetch(`${address}instance/name`, { headers: GOOGLE })).text()).toBe('m2');
    expect((await json('/simulator/instances/m2/preempt', {})).status).toBe(200);
    const status = async () => (await json('/simulator')).body.instances[0].status;
    await expect.poll(status, PATIENT).toBe('TERMINATED');
    const { body } = await json('/simulator');
    expect(body).toMatchObject({
      disks: [{ name: 'm2', attached: true }],
      calls: { 'instances.insert': 2 },
      usages: [{ name: 'm2', seconds: expect.any(Number) }],
      faults: [],
    });
    expect(body.usd).toBeGreaterThan(0);
    await expect(fetch(`${address}instance/name`, { headers: GOOGLE })).rejects.toThrow();
    expect((await json('/simulator/instances/none/vanish', {})).body).toEqual({
      error: 'Error: There is no instance none.',
    });
    expect((await json('/simulator/nothing')).status).toBe(404);
  });
});
