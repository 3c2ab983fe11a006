import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createArtifactRegistry } from '../../src/backends/gce/artifact-registry.ts';
import { pushedImage } from '../../src/backends/gce/push-image.ts';
import type { ImageRegistry } from '../../src/backends/image-registry.ts';
import { systemClock } from '../../src/core/clock.ts';
import { until } from '../integration/until.ts';
import {
  hasRegistry,
  NEEDS_REGISTRY,
  type RegistryProcess,
  startRegistry,
} from '../support/registry-process.ts';
import { hasEngine, NEEDS_ENGINE } from './docker-under-test.ts';
import { describeImageRegistry, type RegistryHarness } from './image-registry.ts';
import { namesOf, openPushingEngine, type PushingEngine } from './image-registry-kit.ts';

const able = hasEngine && hasRegistry;
const NEEDS = NEEDS_ENGINE || NEEDS_REGISTRY;

let engine: PushingEngine;

async function ready(): Promise<void> {
  engine = await openPushingEngine();
}

async function open(): Promise<RegistryHarness> {
  await ready();
  const registry = await startRegistry();
  const at = (host: string): { registry: ImageRegistry; repository: string } => ({
    registry: createArtifactRegistry({ repository: `${host}/project`, token: null }),
    repository: `${host}/project/goldfish`,
  });
  return {
    ...at(registry.host),
    builder: engine.builderOf('one'),
    another: () => ({ registry: at(registry.host).registry, builder: engine.builderOf('another') }),
    makeImage: (kind) => engine.makeImage(kind),
    namesOf,
    fetchAnew: (id, reference) => engine.fetchAnew({ id, reference, login: null }),
    away: async () => {
      const other = await startRegistry();
      await other.stop();
      return at(other.host);
    },
    close: async () => {
      await engine.cleanUp();
      await registry.stop();
    },
  };
}

describeImageRegistry('Artifact Registry', open, NEEDS);

describe.skipIf(!able)(`an image for rented machines${NEEDS}`, () => {
  let registry: RegistryProcess;
  beforeAll(async () => {
    await ready();
    registry = await startRegistry();
  });
  afterAll(async () => {
    await engine.cleanUp();
    await registry.stop();
  });

  it('is pushed once and found from then on, by every process', async () => {
    const repository = `${registry.host}/project`;
    const ofProcess = () => ({
      registry: createArtifactRegistry({ repository, token: null }),
      builder: engine.builderOf('p'),
      repository,
      clock: systemClock,
    });
    const id = await engine.makeImage();
    const shown = `The image ${id.slice(7, 19)}`;
    const lines: string[] = [];
    const onLine = (line: string): void => void lines.push(line);
    const reference = await pushedImage(ofProcess(), { id, onLine });
    expect(reference).toMatch(new RegExp(`^${repository}/goldfish@sha256:[0-9a-f]{64}$`));
    expect(lines[0]).toBe(`${shown} is not in ${repository}/goldfish yet; it is being pushed.`);
    expect(lines.at(-1)).toMatch(new RegExp(`^${shown} was pushed in \\d+ s\\.$`));
    lines.length = 0;
    expect(await pushedImage(ofProcess(), { id, onLine })).toBe(reference);
    expect(lines).toEqual([`${shown} is in ${repository}/goldfish already.`]);
  });

  it('is never another one that somebody has put under its tag', async () => {
    const repository = `${registry.host}/project`;
    const deps = {
      registry: createArtifactRegistry({ repository, token: null }),
      builder: engine.builderOf('p'),
      repository,
      clock: systemClock,
    };
    const [id, other] = [await engine.makeImage(), await engine.makeImage()];
    const lines: string[] = [];
    const onLine = (line: string): void => void lines.push(line);
    const image = { id: other, repository: `${repository}/goldfish`, tag: `id-${id.slice(7)}`, login: null };
    const { digest: theirs } = await deps.builder.push(image, { onLine: () => undefined });
    const reference = await pushedImage(deps, { id, onLine });
    expect(lines[0]).toBe(
      `The image ${id.slice(7, 19)} is not surely what ${image.repository} has under its tag; it is being pushed.`,
    );
    expect(reference).not.toBe(`${image.repository}@${theirs}`);
    expect(await deps.registry.isImage(reference, id)).toBe(true);
    // With the push the tag is ours again.
    expect(await pushedImage(deps, { id, onLine })).toBe(reference);
    expect(lines.at(-1)).toBe(`The image ${id.slice(7, 19)} is in ${image.repository} already.`);
  });
});

/** The name that access tokens go under, with the password "secret-token". */
const PASSWORDS = 'oauth2accesstoken:$2b$05$abcdefghijklmnopqrstuuRULreyKek0PZbCSNryT8vYKKZCKnani\n';

describe.skipIf(!able)(`a registry that wants a login${NEEDS}`, () => {
  let registry: RegistryProcess;
  let repository: string;
  beforeAll(async () => {
    await ready();
    registry = await startRegistry(PASSWORDS);
    repository = `${registry.host}/project/goldfish`;
  });
  afterAll(async () => {
    await engine.cleanUp();
    await registry.stop();
  });
  const push = async (password: string | null): Promise<string> => {
    const login = password === null ? null : { username: 'oauth2accesstoken', password };
    const image = { id: await engine.makeImage(), repository, tag: 'any', login };
    return (await engine.builderOf('p').push(image, { onLine: () => undefined })).digest;
  };

  it('lets the engine in with it', async () => {
    expect(await push('secret-token')).toMatch(/^sha256:/);
  });

  it.each([
    ['another one', 'wrong-token'],
    ['none', null],
  ])('lets nobody in with %s, and the error says who may', async (_login, password) => {
    await expect(push(password)).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining(`The registry does not let Goldfish use "${repository}" (`),
      hint: expect.stringContaining('roles/artifactregistry.writer'),
      retryable: false,
    });
  });

  it('gets none over plain http', async () => {
    const asking = createArtifactRegistry({
      repository: `${registry.host}/project`,
      token: async () => 'secret-token',
    });
    await expect(asking.digest({ repository, tag: 'any' })).rejects.toMatchObject({
      message: `The registry of "${registry.host}/project" wants a login, and over plain http it gets none.`,
    });
  });
});

describe.skipIf(!hasEngine)(`a registry that takes what it is sent for ever${NEEDS_ENGINE}`, () => {
  it('is not waited for by a push that is aborted, which leaves no name', async () => {
    await ready();
    let sending = false;
    const slow = createServer((request, response) => {
      request.resume();
      if (request.method === 'PATCH') {
        sending = true;
        return;
      }
      response.setHeader('docker-distribution-api-version', 'registry/2.0');
      if (request.url === '/v2/') response.end('{}');
      else if (request.method === 'POST') {
        response.writeHead(202, { location: `${request.url}one`, 'docker-upload-uuid': 'one' }).end();
      } else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    try {
      const repository = `127.0.0.1:${(slow.address() as AddressInfo).port}/project/goldfish`;
      const id = await engine.makeImage();
      const before = await namesOf(id);
      const gate = new AbortController();
      const image = { id, repository, tag: 'any', login: null };
      const pushing = engine.builderOf('p').push(image, { signal: gate.signal, onLine: () => undefined });
      pushing.catch(() => undefined);
      await until(() => sending, 'the engine to send');
      gate.abort();
      await expect(pushing).rejects.toMatchObject({ name: 'AbortError' });
      expect(await namesOf(id)).toEqual(before);
    } finally {
      slow.closeAllConnections();
      await new Promise((resolve) => slow.close(resolve));
      await engine.cleanUp();
    }
  });
});
