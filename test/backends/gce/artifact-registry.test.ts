import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ArtifactRegistryOptions,
  createArtifactRegistry,
} from '../../../src/backends/gce/artifact-registry.ts';
import type { ImageRegistry } from '../../../src/backends/image-registry.ts';
import { until } from '../../integration/until.ts';

const HOST = 'europe-docker.pkg.dev';
const REPOSITORY = `${HOST}/p/r`;
const IMAGE = { repository: `${REPOSITORY}/goldfish`, tag: 'id-1' };
const MANIFEST = '/v2/p/r/goldfish/manifests/id-1';
const DIGEST = `sha256:${'d'.repeat(64)}`;
const TOKEN = 'secret-token';
const PASSWORD = `Basic ${Buffer.from(`oauth2accesstoken:${TOKEN}`).toString('base64')}`;
const MEDIA_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const AGAIN = 'Repeat the call; if it stays so, look at the network and at gce.artifact_registry.';
const ROLE =
  'Give its account the role roles/artifactregistry.writer there, or name another repository with gce.artifact_registry.';
const LOOK = 'Look at gce.artifact_registry, and at proxies in between.';

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let handle: Handle;
/** What arrived, in order: `HEAD /v2/…`, and what each signed in with. */
let asked: string[];
let signed: (string | undefined)[];
/** Where it was sent: the network of these tests leads everywhere to this server. */
let sent: string[];

beforeEach(async () => {
  [asked, signed, sent] = [[], [], []];
  handle = answer(404);
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    signed.push(request.headers.authorization);
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function localHost(): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function registry(change: Partial<ArtifactRegistryOptions> = {}): ImageRegistry {
  return createArtifactRegistry({
    repository: REPOSITORY,
    token: async () => TOKEN,
    limitMs: 10_000,
    send: (url, init) => {
      sent.push(url.origin);
      return fetch(new URL(`${url.pathname}${url.search}`, `http://${localHost()}`), init);
    },
    ...change,
  });
}

/** One of this machine, over the real network. */
function local(change: Partial<ArtifactRegistryOptions> = {}): ImageRegistry {
  return createArtifactRegistry({ repository: `${localHost()}/p/r`, token: null, ...change });
}
const localImage = () => ({ repository: `${localHost()}/p/r/goldfish`, tag: 'id-1' });

function answer(status: number, headers: Record<string, string> = {}, body = ''): Handle {
  return (_request, response) => {
    response.writeHead(status, headers);
    response.end(body);
  };
}
const found = answer(200, { 'content-type': MEDIA_TYPE, 'docker-content-digest': DIGEST });
const refused = (says: object): Handle =>
  answer(404, { 'content-type': 'application/json' }, JSON.stringify({ errors: [says] }));

/** Lets in who brings the token that is given for the account's; the rest is told what to bring. */
function guarded(
  challenge: string,
  {
    tokens,
    inside = found,
    key = 'Bearer registry-token',
  }: { tokens?: Handle; inside?: Handle; key?: string } = {},
): Handle {
  const give = tokens ?? answer(200, {}, JSON.stringify({ token: 'registry-token', expires_in: 300 }));
  return (request, response) => {
    if (request.url?.startsWith('/v2/token')) give(request, response);
    else if (request.headers.authorization === key) inside(request, response);
    else answer(401, { 'www-authenticate': challenge })(request, response);
  };
}
const realm = `Bearer realm="https://${HOST}/v2/token"`;
const whole = `${realm},service="${HOST}",scope="repository:p/r/goldfish:pull"`;
const scope = 'scope=repository%3Ap%2Fr%2Fgoldfish%3Apull';

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it did not fail',
    (error: unknown) => error,
  );
const told = (message: string, hint: string, retryable = false): object => ({
  code: 'BACKEND_UNAVAILABLE',
  message,
  hint,
  retryable,
  details: { repository: REPOSITORY },
});

describe('the digest of a tag', () => {
  it('is what the registry says of its manifest, of whatever kind that may be', async () => {
    let accept: string | undefined;
    handle = (request, response) => {
      accept = request.headers.accept;
      found(request, response);
    };
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(asked).toEqual([`HEAD ${MANIFEST}`]);
    expect(accept?.split(', ').sort()).toEqual([
      'application/vnd.docker.distribution.manifest.list.v2+json',
      'application/vnd.docker.distribution.manifest.v2+json',
      'application/vnd.oci.image.index.v1+json',
      'application/vnd.oci.image.manifest.v1+json',
    ]);
  });

  it('is none where nobody has pushed it', async () => {
    handle = refused({ code: 'MANIFEST_UNKNOWN', message: 'Failed to fetch "id-1"' });
    expect(await registry().digest(IMAGE)).toBeUndefined();
    handle = refused({ code: 'NAME_UNKNOWN', message: 'repository name not known to registry' });
    expect(await registry().digest(IMAGE)).toBeUndefined();
    handle = answer(404, { 'content-type': 'text/html' }, '<h1>not found</h1>');
    expect(await registry().digest(IMAGE)).toBeUndefined();
  });

  it('cannot be had where there is no such repository', async () => {
    handle = refused({ code: 'NAME_UNKNOWN', message: 'Repository "r" not found' });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(
        `The registry has no repository for "${REPOSITORY}".`,
        'Make it (gcloud artifacts repositories create), or name another one with gce.artifact_registry.',
      ),
    );
  });

  it.each([
    ['another type', { 'content-type': 'text/html; charset=utf-8' }, 'its answer is text/html'],
    ['no type', { 'docker-content-digest': DIGEST }, 'its answer is of no type'],
    ['no digest', { 'content-type': MEDIA_TYPE }, 'it does not tell the digest'],
    [
      'what is no digest',
      { 'content-type': MEDIA_TYPE, 'docker-content-digest': 'sha256:../../x' },
      'it does not tell the digest',
    ],
  ])('is not taken from an answer with %s', async (_what, headers, why) => {
    handle = answer(200, headers as Record<string, string>);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`What answers for "${REPOSITORY}" is no registry of images (${why}).`, LOOK),
    );
  });

  it('is asked of the configured repository only', async () => {
    const elsewhere = { repository: 'evil.example/p/r/goldfish', tag: 'id-1' };
    await expect(registry().digest(elsewhere)).rejects.toThrow(
      `evil.example/p/r/goldfish does not lie in ${REPOSITORY}`,
    );
    expect(asked).toEqual([]);
  });
});

describe('an image by its digest', () => {
  const reference = `${REPOSITORY}/goldfish@${DIGEST}`;

  it('is there or not', async () => {
    handle = found;
    expect(await registry().exists(reference)).toBe(true);
    expect(asked).toEqual([`HEAD /v2/p/r/goldfish/manifests/${DIGEST}`]);
    handle = answer(404);
    expect(await registry().exists(reference)).toBe(false);
  });

  it('is named by its digest', async () => {
    await expect(registry().exists(`${REPOSITORY}/goldfish:id-1`)).rejects.toThrow('names no digest');
    expect(asked).toEqual([]);
  });
});

describe('a registry that wants to know who asks', () => {
  it('gives a token for that of the account, which lets in', async () => {
    handle = guarded(whole);
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(asked).toEqual([`HEAD ${MANIFEST}`, `GET /v2/token?service=${HOST}&${scope}`, `HEAD ${MANIFEST}`]);
    expect(signed).toEqual([undefined, PASSWORD, 'Bearer registry-token']);
    expect(new Set(sent)).toEqual(new Set([`https://${HOST}`]));
  });

  it('need not say for what', async () => {
    handle = guarded(realm);
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(asked[1]).toBe(`GET /v2/token?${scope}`);
  });

  it('may call its token an access token', async () => {
    handle = guarded(whole, { tokens: answer(200, {}, '{"access_token": "registry-token"}') });
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
  });

  it('may want the account’s token itself', async () => {
    handle = guarded('Basic realm="goldfish"', { key: PASSWORD });
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(signed).toEqual([undefined, PASSWORD]);
  });

  it('is told it again when it is asked why there is no such image', async () => {
    handle = guarded(whole, {
      inside: refused({ code: 'NAME_UNKNOWN', message: 'Repository "r" not found' }),
    });
    expect(await failure(registry().digest(IMAGE))).toMatchObject({
      message: `The registry has no repository for "${REPOSITORY}".`,
    });
    expect(signed).toEqual([undefined, PASSWORD, 'Bearer registry-token', 'Bearer registry-token']);
  });

  it.each([
    ['another host', 'https://evil.example/token'],
    ['plain http', `http://${HOST}/v2/token`],
    ['nowhere', 'nonsense'],
  ])('is told nothing where it sends the login to %s', async (_where, place) => {
    handle = guarded(`Bearer realm="${place}",service="x"`);
    let tokens = 0;
    const token = async (): Promise<string> => {
      tokens += 1;
      return TOKEN;
    };
    expect(await failure(registry({ token }).digest(IMAGE))).toMatchObject(
      told(
        `What answers for "${REPOSITORY}" is no registry of images (it wants the login sent elsewhere).`,
        LOOK,
      ),
    );
    expect([asked, tokens]).toEqual([[`HEAD ${MANIFEST}`], 0]);
  });

  it.each([
    ['what is no JSON', 'token'],
    ['no token', '{"expires_in": 300}'],
    ['what cannot stand in a header', '{"token": "two\\nlines"}'],
    ['more than can be read', `{"token": "registry-token", "rest": "${'x'.repeat(100_000)}"}`],
  ])('gives no token with %s', async (_what, text) => {
    handle = guarded(whole, { tokens: answer(200, {}, text) });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`What answers for "${REPOSITORY}" is no registry of images (it gives no token).`, LOOK),
    );
  });

  it('does not let in whom it does not know', async () => {
    const why = (status: number): object =>
      told(`The registry does not let Goldfish use "${REPOSITORY}" (HTTP ${status}).`, ROLE);
    handle = guarded(whole, { tokens: answer(403) });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(why(403));
    // The token it gave itself does not do.
    handle = guarded(whole, { key: 'none' });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(why(401));
    handle = answer(401);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(why(401));
  });
});

describe('a registry of this machine', () => {
  it('is asked over plain http and never told who asks', async () => {
    let tokens = 0;
    const token = async (): Promise<string> => {
      tokens += 1;
      return TOKEN;
    };
    handle = guarded('Basic realm="goldfish"');
    const { repository } = localImage();
    expect(await failure(local({ token }).digest(localImage()))).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: `The registry of "${repository.replace('/goldfish', '')}" wants a login, and over plain http it gets none.`,
      hint: 'Name a repository with gce.artifact_registry that needs no login, or one with https.',
      retryable: false,
    });
    expect(await local({ token }).login()).toBeNull();
    expect([signed, tokens]).toEqual([[undefined], 0]);
  });

  it('may give a token to everybody', async () => {
    handle = guarded(`Bearer realm="http://${localHost()}/v2/token"`);
    expect(await local().digest(localImage())).toBe(DIGEST);
    expect(signed).toEqual([undefined, undefined, 'Bearer registry-token']);
  });

  it('that nobody answers for is away', async () => {
    const image = localImage();
    const away = local();
    await new Promise((resolve) => server.close(resolve));
    expect(await failure(away.digest(image))).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: `The registry did not do its part for "${image.repository.replace('/goldfish', '')}" (ECONNREFUSED).`,
      hint: AGAIN,
      retryable: true,
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
});

describe('a registry that does not do what it is asked', () => {
  const unreachable = (why: string): object =>
    told(`The registry did not do its part for "${REPOSITORY}" (${why}).`, AGAIN, true);

  it.each([408, 429, 500, 502, 503])('may do it later after HTTP %i', async (status) => {
    handle = answer(status);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(unreachable(`HTTP ${status}`));
    expect(asked).toHaveLength(1);
  });

  it('is not followed elsewhere', async () => {
    handle = answer(307, { location: 'https://evil.example/' });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`What answers for "${REPOSITORY}" is no registry of images (HTTP 307).`, LOOK),
    );
    expect(asked).toEqual([`HEAD ${MANIFEST}`]);
  });

  it('is left where it forbids', async () => {
    handle = answer(403);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`The registry does not let Goldfish use "${REPOSITORY}" (HTTP 403).`, ROLE),
    );
  });

  it('is waited for a while only', async () => {
    handle = () => undefined;
    const impatient = registry({ limitMs: 50 });
    expect(await failure(impatient.digest(IMAGE))).toMatchObject(unreachable('no answer within 0.05 s'));
    // The end of an answer counts too.
    handle = (request, response) => {
      if (request.method === 'HEAD') return answer(404)(request, response);
      response.writeHead(404, { 'content-length': '100' });
      response.write('{');
    };
    expect(await failure(impatient.digest(IMAGE))).toMatchObject(unreachable('no answer within 0.05 s'));
  });

  it('is not listened to for ever', async () => {
    let ended = false;
    handle = (request, response) => {
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
    handle = (request) => request.socket.destroy();
    expect(await failure(registry().digest(IMAGE))).toMatchObject(unreachable('no answer'));
  });

  it('is asked no further when the call is aborted', async () => {
    handle = () => undefined;
    const gate = new AbortController();
    const asking = registry().digest(IMAGE, { signal: gate.signal });
    asking.catch(() => undefined);
    await until(() => asked.length === 1, 'the question');
    gate.abort();
    await expect(asking).rejects.toMatchObject({ name: 'AbortError' });
    const late = registry().digest(IMAGE, { signal: gate.signal });
    await expect(late).rejects.toMatchObject({ name: 'AbortError' });
    expect(asked).toHaveLength(1);
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
    expect(asked).toEqual([]);
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
      handle = guarded(whole, { inside });
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
