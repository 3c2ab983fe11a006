import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { openContext, type ServerContext } from '../../src/context.ts';
import { hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';

const open: { context: ServerContext; root: string }[] = [];
afterEach(async () => {
  for (const { context, root } of open.splice(0)) {
    await context.close();
    await rm(root, { recursive: true, force: true });
  }
});

async function project(docker: string): Promise<ServerContext> {
  const root = await mkdtemp(join(tmpdir(), 'goldfish-choose-'));
  await writeFile(join(root, 'goldfish.yaml'), `project_name: choose\ndocker: { ${docker} }\n`);
  const context = await openContext({ root });
  open.push({ context, root });
  return context;
}

const NOBODY = 'host: unix:///no/such/engine.sock';

describe('the backend of a stage that names none', () => {
  it('is process where no engine answers; it says so, and loses no time over it', async () => {
    const { backends } = await project(NOBODY);
    await backends.choose('process');
    const began = performance.now();
    const choice = await backends.choose('auto');
    expect(performance.now() - began).toBeLessThan(300);
    expect(choice.name).toBe('process');
    expect(choice.why).toMatch(
      /^auto: stages run as .*; not docker: no container engine answers \(ENOENT\)$/,
    );
  });

  it.skipIf(!hasEngine)(`is docker where an engine has the base image${NEEDS_ENGINE}`, async () => {
    const { backends } = await project(`base_image: '${TEST_IMAGE}'`);
    const choice = await backends.choose('auto');
    expect(choice).toEqual({
      name: 'docker',
      why: expect.stringMatching(/^auto: stages run in containers: /),
    });
  });

  it.skipIf(!hasEngine)(`is process while the base image is not there${NEEDS_ENGINE}`, async () => {
    const { backends } = await project('base_image: goldfish-test-absent:1');
    const choice = await backends.choose('auto');
    expect(choice.name).toBe('process');
    expect(choice.why).toContain('not docker: ');
    expect(choice.why).toContain('the image goldfish-test-absent:1 is not here yet');
    // Who asks for containers gets them: the first run fetches the image.
    expect((await backends.choose('docker')).name).toBe('docker');
  });
});

describe('a backend that is named', () => {
  it('is refused with the reason where it cannot run work', async () => {
    const { backends } = await project(NOBODY);
    await expect(backends.choose('docker')).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'The backend "docker" cannot run work: no container engine answers (ENOENT)',
      hint: 'Start the engine, or set docker.host to where it listens.',
    });
    await expect(backends.choose('dokcer')).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      hint: 'Did you mean "docker"?',
    });
  });

  it('is refused for now where its engine listens and is too busy to answer', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'goldfish-engine-'));
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(join(folder, 'engine.sock'), resolve));
    try {
      const { backends } = await project(`host: 'unix://${join(folder, 'engine.sock')}'`);
      await expect(backends.choose('docker')).rejects.toMatchObject({
        message: 'The backend "docker" cannot run work: no container engine answers (ETIMEDOUT)',
        retryable: true,
      });
    } finally {
      silent.close();
      await rm(folder, { recursive: true, force: true });
    }
    const { backends } = await project(NOBODY);
    await expect(backends.choose('docker')).rejects.toMatchObject({ retryable: false });
  });

  it('has limits and capacity of its own', async () => {
    const { backends } = await project(`${NOBODY}, memory: 1g, max_parallel: 3`);
    expect(backends.names).toEqual(['docker', 'process']);
    expect(backends.capacity('docker')).toBe(3);
    expect(backends.limits('docker', 'default')).toMatchObject({ memoryBytes: 2 ** 30, network: false });
    expect(backends.limits('process', 'default')).toMatchObject({ memoryBytes: null, network: true });
  });
});
