import { readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDockerAdapter } from '../../../src/backends/docker/docker-backend.ts';
import { createEngine } from '../../../src/backends/docker/engine.ts';
import { launchAttempt } from '../../../src/backends/docker/launch.ts';
import { cleanUpAttempt, terminateAttempt } from '../../../src/backends/docker/stop.ts';
import { sweep } from '../../../src/backends/docker/sweep.ts';
import { type DockerProject, engineWith, fakeEngine, openDockerProject, RUN } from './docker-project.ts';

let project: DockerProject;
beforeEach(async () => {
  project = await openDockerProject();
});
afterEach(() => project.close());

const handle = { backend: 'docker', ...RUN, externalId: 'x', data: {} };

describe.each([
  ['is named and not known', { host: null, hostProblem: 'docker.host names ENGINE, which is not set' }],
  ['is not supported', { host: 'ssh://me@there', hostProblem: null }],
])('an engine whose address %s', (_case, change) => {
  const why = change.hostProblem ?? 'docker.host must be';
  const refused = {
    code: 'BACKEND_UNAVAILABLE',
    message: expect.stringContaining(why),
    hint: expect.stringMatching(/./),
  };

  it('is asked for nothing, and no other in its place', async () => {
    const { backend, environmentKey } = createDockerAdapter({ ...project.options, ...change });
    const { codeDir, ...spec } = await project.spec();
    const request = { key: 'k', codeDir, codeHash: 'sha256:code', image: null };
    await expect(backend.build(request, { onLine: () => undefined })).rejects.toMatchObject(refused);
    await expect(backend.launch({ ...spec, codeDir })).rejects.toMatchObject(refused);
    await expect(backend.cleanup(handle)).rejects.toMatchObject(refused);
    const files = { list: async () => [], read: async () => null };
    await expect(environmentKey({ ...request, files })).rejects.toMatchObject(refused);
    expect(await backend.probe()).toMatchObject({ available: false, why: expect.stringContaining(why) });
  });
});

it('a sweep asks no engine that must not be asked', async () => {
  const address = { kind: 'unusable', why: 'it is not known', hint: 'Name it.' } as const;
  const deps = project.deps(fakeEngine({}), { address, engine: createEngine(address) });
  await expect(sweep(deps)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
});

it('a client that could not be made is made when it is next asked for, and then once', async () => {
  let tries = 0;
  const engine = fakeEngine({});
  const connect = createEngine({ kind: 'socket', path: '/none' }, async () => {
    tries += 1;
    if (tries === 1) throw new Error('the library could not be read');
    return engine;
  });
  await expect(connect()).rejects.toThrow('could not be read');
  expect(await connect()).toBe(engine);
  expect(await connect()).toBe(engine);
  expect(tries).toBe(2);
});

describe('the engine of a run', () => {
  const labels = { 'goldfish.project': 'p', 'goldfish.run': RUN.runId, 'goldfish.attempt': '1' };
  const container = { Id: 'theirs', Labels: labels, State: 'running', Created: 0 };

  it('is named in the handle', async () => {
    await project.write(RUN, 'started', '');
    const deps = project.deps(fakeEngine({}), { address: { kind: 'http', host: 'localhost', port: 99 } });
    expect((await launchAttempt(deps, await project.spec())).data).toEqual({ engine: 'http://localhost:99' });
  });

  it('is the one that is asked to remove its containers, and another is not', async () => {
    const { engine, left } = engineWith([container]);
    const deps = project.deps(engine);
    await project.write(RUN, 'inputs', 'for the program');
    const elsewhere = { ...handle, data: { engine: 'unix:///other.sock' } };
    const refused = {
      code: 'BACKEND_UNAVAILABLE',
      message: 'The containers of the run are on another engine than the one that is configured now.',
      retryable: true,
    };
    await expect(cleanUpAttempt(deps, elsewhere)).rejects.toMatchObject(refused);
    await expect(
      terminateAttempt(deps, elsewhere, { graceSeconds: 0, reason: 'cancel' }),
    ).rejects.toMatchObject(refused);
    expect(left()).toEqual(['theirs']);
    expect(await readdir(project.layout.attempt(RUN.runId, 1).dir)).toContain('inputs');
    await cleanUpAttempt(deps, { ...handle, data: { engine: 'unix:///none' } });
    expect(left()).toEqual([]);
  });

  it('is the same by another name of its socket', async () => {
    const { engine, left } = engineWith([container]);
    const socket = join(project.layout.root, 'engine.sock');
    const other = join(project.layout.root, 'other.sock');
    await writeFile(socket, '');
    await symlink(socket, other);
    const deps = project.deps(engine, { address: { kind: 'socket', path: other } });
    await cleanUpAttempt(deps, { ...handle, data: { engine: `unix://${socket}` } });
    expect(left()).toEqual([]);
  });
});
