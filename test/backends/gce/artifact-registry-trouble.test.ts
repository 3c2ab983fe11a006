import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createArtifactRegistry } from '../../../src/backends/gce/artifact-registry.ts';
import type { ImageRegistry } from '../../../src/backends/image-registry.ts';
import { until } from '../../integration/until.ts';
import {
  AGAIN,
  answer,
  at,
  DIGEST,
  failure,
  guarded,
  IMAGE,
  LOOK,
  local,
  localHost,
  localImage,
  MANIFEST,
  PASSWORD,
  REPOSITORY,
  ROLE,
  registry,
  serveRegistry,
  startRegistry,
  stopRegistry,
  TOKEN,
  told,
  whole,
} from './artifact-registry-kit.ts';

serveRegistry();

describe('a registry of this machine', () => {
  it('is asked over plain http and never told who asks', async () => {
    let tokens = 0;
    const token = async (): Promise<string> => {
      tokens += 1;
      return TOKEN;
    };
    at.handle = guarded('Basic realm="goldfish"');
    const { repository } = localImage();
    expect(await failure(local({ token }).digest(localImage()))).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: `The registry of "${repository.replace('/goldfish', '')}" wants a login, and over plain http it gets none.`,
      hint: 'Name a repository with gce.artifact_registry that needs no login, or one with https.',
      retryable: false,
    });
    expect(await local({ token }).login()).toBeNull();
    expect([at.signed, tokens]).toEqual([[undefined], 0]);
  });

  it('may give a token to everybody', async () => {
    at.handle = guarded(`Bearer realm="http://${localHost()}/v2/token"`);
    expect(await local().digest(localImage())).toBe(DIGEST);
    expect(at.signed).toEqual([undefined, undefined, 'Bearer registry-token']);
  });

  it('that nobody answers for is away', async () => {
    const image = localImage();
    const away = local();
    await stopRegistry();
    expect(await failure(away.digest(image))).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: `The registry did not do its part for "${image.repository.replace('/goldfish', '')}" (ECONNREFUSED).`,
      hint: AGAIN,
      retryable: true,
    });
    await startRegistry();
  });
});

describe('a registry that does not do what it is asked', () => {
  const unreachable = (why: string): object =>
    told(`The registry did not do its part for "${REPOSITORY}" (${why}).`, AGAIN, true);

  it.each([408, 429, 500, 502, 503])('may do it later after HTTP %i', async (status) => {
    at.handle = answer(status);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(unreachable(`HTTP ${status}`));
    expect(at.asked).toHaveLength(1);
  });

  it('is not followed elsewhere', async () => {
    at.handle = answer(307, { location: 'https://evil.example/' });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`What answers for "${REPOSITORY}" is no registry of images (HTTP 307).`, LOOK),
    );
    expect(at.asked).toEqual([`HEAD ${MANIFEST}`]);
  });

  it('is left where it forbids', async () => {
    at.handle = answer(403);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`The registry does not let Goldfish use "${REPOSITORY}" (HTTP 403).`, ROLE),
    );
  });

  it('is waited for a while only', async () => {
    at.handle = () => undefined;
    const impatient = registry({ limitMs: 50 });
    expect(await failure(impatient.digest(IMAGE))).toMatchObject(unreachable('no answer within 0.05 s'));
    // The end of an answer counts too.
    at.handle = (request, response) => {
      if (request.method === 'HEAD') return answer(404)(request, response);
      response.writeHead(404, { 'content-length': '100' });
      response.write('{');
    };
    expect(await failure(impatient.digest(IMAGE))).toMatchObject(unreachable('no answer within 0.05 s'));
  });

  it('is not listened to for ever', async () => {
    let ended = false;
    at.handle = (request, response) => {
      if (request.method === 'HEAD') return answer(404)(request, response);
      response.once('close', () => {
        ended = true;
      });
      response.writeHead(404);
      // A megabyte, and no end.
      response.write('x'.repeat(1_000_000));
    };
    expect(await registry({ limitMs: 3_000 }).digest(IMAGE)).toBeUndefined();
    await until(() => ended, 'the end of the answer');
  });

  it('may break off', async () => {
    at.handle = (request) => request.socket.destroy();
    expect(await failure(registry().digest(IMAGE))).toMatchObject(unreachable('no answer'));
  });

  it('is asked no further when the call is aborted', async () => {
    at.handle = () => undefined;
    const gate = new AbortController();
    const asking = registry().digest(IMAGE, { signal: gate.signal });
    asking.catch(() => undefined);
    await until(() => at.asked.length === 1, 'the question');
    gate.abort();
    await expect(asking).rejects.toMatchObject({ name: 'AbortError' });
    const late = registry().digest(IMAGE, { signal: gate.signal });
    await expect(late).rejects.toMatchObject({ name: 'AbortError' });
    expect(at.asked).toHaveLength(1);
  });
});

describe('the login for an engine', () => {
  it('is the account’s token, asked for each time', async () => {
    let number = 0;
    const token = async (): Promise<string> => {
      number += 1;
      return `token-${number}`;
    };
    const signing = registry({ token });
    expect(await signing.login()).toEqual({ username: 'oauth2accesstoken', password: 'token-1' });
    expect(await signing.login()).toEqual({ username: 'oauth2accesstoken', password: 'token-2' });
    expect(at.asked).toEqual([]);
  });

  it('is none where nobody signs in', async () => {
    expect(await registry({ token: null }).login()).toBeNull();
  });

  it('fails as the account’s token does, and is not waited for for ever', async () => {
    const broken = registry({ token: () => Promise.reject(new Error('no account')) });
    await expect(broken.login()).rejects.toThrow('no account');
    const silent = registry({ token: () => new Promise(() => undefined), limitMs: 50 });
    expect(await failure(silent.login())).toMatchObject(
      told(
        `The registry did not do its part for "${REPOSITORY}" (the account’s token: no answer within 0.05 s).`,
        AGAIN,
        true,
      ),
    );
    const aborted = silent.login({ signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('is in no error', async () => {
    const errors: unknown[] = [];
    for (const inside of [answer(500), answer(403), answer(307), (): void => undefined]) {
      at.handle = guarded(whole, { inside });
      errors.push(await failure(registry({ limitMs: 300 }).digest(IMAGE)));
    }
    for (const error of errors) {
      expect(error).toBeInstanceOf(Error);
      for (const secret of [TOKEN, PASSWORD, 'registry-token'])
        expect(inspect(error, { depth: 20 })).not.toContain(secret);
    }
  });
});

describe('the name of a repository', () => {
  it.each([
    ['europe-docker.pkg.dev/p/r', 'https://europe-docker.pkg.dev'],
    ['europe-docker.pkg.dev/example.com/project/my-repo', 'https://europe-docker.pkg.dev'],
    ['registry.example:8443/a', 'https://registry.example:8443'],
    ['127.0.0.1:5000/name', 'http://127.0.0.1:5000'],
    ['127.1.2.3:5000/name', 'http://127.1.2.3:5000'],
    ['localhost:5000/name', 'http://localhost:5000'],
    ['localhost/name', 'http://localhost'],
    ['[::1]:5000/name', 'http://[::1]:5000'],
    ['127.0.0.1.example:5000/name', 'https://127.0.0.1.example:5000'],
    ['localhost.example/name', 'https://localhost.example'],
    ['10.0.0.1:5000/name', 'https://10.0.0.1:5000'],
  ])('%s leads to %s', async (repository, origin) => {
    const places: string[] = [];
    const send = async (url: URL): Promise<Response> => {
      places.push(url.href);
      return new Response(null, { status: 404 });
    };
    const one = createArtifactRegistry({ repository, token: null, send });
    expect(await one.digest({ repository: `${repository}/goldfish`, tag: 't' })).toBeUndefined();
    const path = repository.slice(repository.indexOf('/'));
    expect(places[0]).toBe(`${origin}/v2${path}/goldfish/manifests/t`);
  });

  it.each([
    '',
    'name',
    'project/repository',
    'europe-docker.pkg.dev',
    'europe-docker.pkg.dev/',
    'europe-docker.pkg.dev/p/r/',
    'europe-docker.pkg.dev/p/R',
    'europe-docker.pkg.dev/p/../r',
    'europe-docker.pkg.dev/p/r:tag',
    'europe-docker.pkg.dev:99999/p/r',
    'https://europe-docker.pkg.dev/p/r',
    'user@europe-docker.pkg.dev/p/r',
    'europe-docker.pkg.dev/p/r?x',
  ])('is not "%s"', (repository) => {
    const make = (): ImageRegistry => createArtifactRegistry({ repository, token: null });
    expect(make).toThrow(
      `gce.artifact_registry is "${repository}": no repository for images such as europe-docker.pkg.dev/project/repository.`,
    );
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
  });
});
