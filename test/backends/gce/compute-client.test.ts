import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { createComputeClient } from '../../../src/backends/gce/compute-client.ts';
import { computeEndpoint } from '../../../src/backends/gce/compute-endpoint.ts';

const CLIENT = new URL('../../../src/backends/gce/compute-client.ts', import.meta.url).href;
/** Prints how much of the vendor is there before and after the first call, which fails. */
const FIRST_CALL = `
import { createRequire } from 'node:module';
const { createComputeClient } = await import(${JSON.stringify(CLIENT)});
const { cache } = createRequire(import.meta.url);
const loaded = () => Object.keys(cache).filter((path) => /node_modules.(@google-cloud|google-)/.test(path)).length;
const calls = createComputeClient({ projectId: 'demo', apiEndpoint: 'http://127.0.0.1:9' });
const before = loaded();
const failure = await calls.getInstance({ zone: 'z', name: 'm' }).catch((error) => error.name);
process.stdout.write(JSON.stringify([before, failure, loaded() > 0]));
`;

it('imports nothing of the vendor before the first call', () => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', FIRST_CALL], {
    encoding: 'utf8',
  });
  expect(stdout, stderr).toBe('[0,"ComputeFailure",true]');
});

describe('the endpoint', () => {
  it('is the service itself, https, or http to this machine', () => {
    expect(computeEndpoint(null)).toBeUndefined();
    const endpoints = ['https://compute.example.com', 'https://[::1]:8443/', 'http://127.0.0.1:8080'];
    expect(endpoints.map(computeEndpoint)).toEqual([
      { protocol: 'https', apiEndpoint: 'compute.example.com', port: 443 },
      { protocol: 'https', apiEndpoint: '[::1]', port: 8443 },
      { protocol: 'http', apiEndpoint: '127.0.0.1', port: 8080 },
    ]);
    expect(computeEndpoint('http://localhost')).toMatchObject({ port: 80 });
  });

  it.each([
    'http://compute.googleapis.com',
    'http://10.0.0.1:8080',
    'http://127.0.0.1.example.com',
    'https://compute.example.com/compute/v1',
    'https://me@compute.example.com',
    'https://compute.example.com/?x=1',
    'ftp://127.0.0.1',
    '127.0.0.1:8080',
    '',
  ])('is refused where it is %j', (apiEndpoint) => {
    expect(() => createComputeClient({ projectId: 'demo', apiEndpoint })).toThrow(
      expect.objectContaining({
        code: 'INVALID_CONFIG',
        message: `gce.api_endpoint is "${apiEndpoint}": not https, or http to this machine, without a path.`,
        hint: 'For a simulator on this machine write http://127.0.0.1:PORT; leave the key out for Google’s own service.',
      }),
    );
  });
});
