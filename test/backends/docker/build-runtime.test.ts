import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeFiles } from '../../../src/backends/code-files.ts';
import { buildRuntime, environmentKey } from '../../../src/backends/docker/build-runtime.ts';
import type { Engine } from '../../../src/backends/docker/engine.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { projectLayout } from '../../../src/core/layout.ts';
import { fakeImage } from './docker-project.ts';

let codeDir: string;
beforeEach(async () => {
  codeDir = await mkdtemp(join(tmpdir(), 'goldfish-build-'));
});
afterEach(() => rm(codeDir, { recursive: true, force: true }));

/** An engine that has no image, and whose registry says one thing. */
function engineWithout(says: object): { engine: Engine; pulled: string[] } {
  const pulled: string[] = [];
  const refuse = (): never => {
    throw new Error('not asked for here');
  };
  const engine: Engine = {
    info: async () => ({ NCPU: 1 }),
    getImage: () =>
      fakeImage({
        inspect: async () => {
          throw Object.assign(new Error('no such image'), { statusCode: 404 });
        },
      }),
    pull: async (reference) => {
      pulled.push(reference);
      return Readable.from([
        Buffer.from(`${JSON.stringify({ status: 'Pulling' })}\n${JSON.stringify(says)}\n`),
      ]);
    },
    buildImage: refuse,
    createContainer: refuse,
    getContainer: refuse,
    listContainers: async () => [],
  };
  return { engine, pulled };
}

async function build(
  says: object,
  image: string | null,
): Promise<{ error: unknown; pulled: string[]; lines: string[] }> {
  const { engine, pulled } = engineWithout(says);
  const refuse = (): Promise<never> => Promise.reject(new Error('not asked for here'));
  const deps = {
    layout: projectLayout(codeDir),
    clock: systemClock,
    python: 'python3',
    sdkDir: '',
    nodeLibraryDir: '',
    hostEnvironment: {},
    host: null,
    hostProblem: null,
    baseImage: 'python:3.12-slim',
    user: '1000:1000',
    address: { kind: 'socket', path: '/none' } as const,
    engine: async () => engine,
    project: 'p',
    builder: { build: refuse, push: refuse },
  };
  const codeHash = 'sha256:code';
  const key = await environmentKey(deps, { files: codeFiles(codeDir), codeHash, image });
  const lines: string[] = [];
  const request = { key, codeDir, codeHash, image };
  const error = await buildRuntime(deps, request, { onLine: (line) => void lines.push(line) }).then(
    () => 'it was built',
    (thrown: unknown) => thrown,
  );
  return { error, pulled, lines };
}

describe('an image that is not here', () => {
  it('is fetched by its tag, the newest where it names none, and told so', async () => {
    const unknown = { error: 'manifest for x not found: manifest unknown' };
    expect(await build(unknown, 'registry.example:5000/x')).toMatchObject({
      pulled: ['registry.example:5000/x:latest'],
      lines: ['The image registry.example:5000/x is not here; it is being fetched.', 'Pulling'],
    });
    expect((await build(unknown, 'x:2')).pulled).toEqual(['x:2']);
    expect((await build(unknown, 'x@sha256:abc')).pulled).toEqual(['x@sha256:abc']);
    expect((await build(unknown, null)).pulled).toEqual(['python:3.12-slim']);
  });

  it('is a mistake where nobody has it, at its line where a Dockerfile names it', async () => {
    const unknown = { error: 'pull access denied for x, repository does not exist or may require login' };
    expect((await build(unknown, 'x:1')).error).toMatchObject({
      code: 'INVALID_CONFIG',
      message: 'There is no image "x:1" on this machine, nor where images are fetched from.',
    });
    await writeFile(join(codeDir, 'Dockerfile'), '# ours\nFROM x:1\nRUN true\n');
    expect((await build(unknown, null)).error).toMatchObject({
      code: 'INVALID_CONFIG',
      message: 'Dockerfile:2:1: There is no image "x:1" on this machine, nor where images are fetched from.',
    });
  });

  it('is no mistake where the network fails, and worth another try', async () => {
    const away = {
      error: 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
    };
    expect((await build(away, 'x:1')).error).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/^The image "x:1" is not on this machine and could not be fetched: /),
      retryable: true,
    });
    const full = { error: 'write /var/lib/x: no space left on device' };
    expect((await build(full, 'x:1')).error).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });
});
