import { describe, expect, it } from 'vitest';
import { type ContainerPlan, containerName, containerOptions } from '../../src/backends/container.ts';
import { parseAddress, pingEngine, wrapperAddress } from '../../src/backends/docker/engine.ts';

const plan: ContainerPlan = {
  name: 'goldfish-stage-abc-1',
  image: 'sha256:abc',
  command: ['python3', '-m', 'modules.train'],
  environment: { LANG: 'C.UTF-8', EQUALS: 'a=b\nc' },
  labels: { 'goldfish.run': 'stage-abc' },
  user: '1000:1000',
  mounts: [{ Type: 'bind', Source: '/a', Target: '/app', ReadOnly: true }],
  resources: { memoryBytes: 1024, cpus: 2.5, gpus: 0, pidsLimit: 100 },
  machineCpus: 8,
  network: 'none',
  init: 'python',
};

describe('a container', () => {
  it('is shut in whole', () => {
    expect(containerOptions(plan)).toEqual({
      name: 'goldfish-stage-abc-1',
      Image: 'sha256:abc',
      User: '1000:1000',
      Entrypoint: ['python3'],
      Cmd: ['-I', '-S', '-B', '/goldfish/container_init.py', '--', 'python3', '-m', 'modules.train'],
      WorkingDir: '/app',
      Env: ['LANG=C.UTF-8', 'EQUALS=a=b\nc'],
      Labels: { 'goldfish.run': 'stage-abc' },
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Tty: false,
      NetworkDisabled: false,
      HostConfig: {
        Mounts: plan.mounts,
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges:true'],
        Privileged: false,
        NetworkMode: 'none',
        IpcMode: 'private',
        Memory: 1024,
        MemorySwap: 1024,
        ShmSize: 512,
        NanoCpus: 2_500_000_000,
        PidsLimit: 101,
        OomScoreAdj: 500,
        Init: false,
        Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }],
        LogConfig: { Type: 'none', Config: {} },
        RestartPolicy: { Name: 'no' },
        DeviceRequests: [],
      },
    });
  });

  it('has no limit where none is asked for, and no more processors than the machine', () => {
    const none = { memoryBytes: null, cpus: null, gpus: 0, pidsLimit: null };
    const { HostConfig } = containerOptions({ ...plan, resources: none });
    for (const key of ['Memory', 'MemorySwap', 'ShmSize', 'NanoCpus', 'PidsLimit']) {
      expect(HostConfig).not.toHaveProperty(key);
    }
    expect(containerOptions({ ...plan, machineCpus: 2 }).HostConfig.NanoCpus).toBe(2_000_000_000);
  });

  it('runs the command itself where the image has no python3, below the engine’s own init', () => {
    const options = containerOptions({ ...plan, command: ['node', 'a.js'], init: 'engine' });
    expect(options).toMatchObject({ Entrypoint: ['node'], Cmd: ['a.js'], OpenStdin: false });
    expect(options.HostConfig).toMatchObject({ Init: true, PidsLimit: 101 });
    const none = containerOptions({ ...plan, init: 'none' }).HostConfig;
    expect(none).toMatchObject({ Init: false, PidsLimit: 100 });
  });

  it('asks the engine for GPUs by number', () => {
    const { HostConfig } = containerOptions({ ...plan, resources: { ...plan.resources, gpus: 2 } });
    expect(HostConfig.DeviceRequests).toEqual([{ Driver: '', Count: 2, Capabilities: [['gpu']] }]);
  });

  it('is named by run, attempt and rank alone', () => {
    const run = { runId: 'stage-abc', attempt: 3 };
    expect([containerName(run, 0), containerName(run, 2)]).toEqual([
      'goldfish-stage-abc-3',
      'goldfish-stage-abc-3-r2',
    ]);
  });
});

describe('the address of an engine', () => {
  it.each([
    [null, 'unix:///var/run/docker.sock'],
    ['', 'unix:///var/run/docker.sock'],
    ['unix:///run/user/1000/docker.sock', 'unix:///run/user/1000/docker.sock'],
    ['tcp://127.0.0.1', 'http://127.0.0.1:2375'],
    ['tcp://127.0.0.1:1234/', 'http://127.0.0.1:1234'],
    ['http://[::1]:99', 'http://[::1]:99'],
  ])('%s is %s for the run wrapper', (host, address) => {
    expect(wrapperAddress(parseAddress(host))).toBe(address);
  });

  it.each(['https://example.org:2376', 'ssh://me@there', 'npipe:////./pipe/x', 'nonsense'])(
    '%s is refused in a sentence',
    (host) => {
      expect(parseAddress(host)).toMatchObject({
        kind: 'unusable',
        why: expect.stringContaining('docker.host'),
      });
    },
  );

  it('is found dead at once where nobody listens', async () => {
    const began = performance.now();
    expect(await pingEngine(parseAddress('unix:///no/such.sock'), 250)).toBe('ENOENT');
    expect(await pingEngine(parseAddress('tcp://127.0.0.1:1'), 250)).toBe('ECONNREFUSED');
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
