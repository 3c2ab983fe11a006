import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createImageBuilder } from '../../../src/backends/docker/docker-image-builder.ts';
import { createEngine, parseAddress } from '../../../src/backends/docker/engine.ts';
import type { ImageBuilder, ImagePush } from '../../../src/backends/image-builder.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { until } from '../../integration/until.ts';
import { type FakeEngine, startFakeEngine } from '../../support/fake-engine.ts';

const ID = `sha256:${'a'.repeat(64)}`;
const DIGEST = `sha256:${'b'.repeat(64)}`;
const REPOSITORY = 'registry.example/p/r/goldfish';
const TAG = 'id-aa';
const NAME = `${REPOSITORY}:${TAG}`;
const LOGIN = { username: 'oauth2accesstoken', password: 'secret-token' };

type Answer = (response: ServerResponse) => void;

/** The image as the engine has it. */
let names: Set<string>;
let there: boolean;
/** What arrived, as `POST tag`; and what the last push signed in with. */
let calls: string[];
let login: unknown;
/** What the next pushes do, one after the other; the last one stays. */
let pushes: Answer[];
let engine: FakeEngine;
let builder: ImageBuilder;

const said =
  (...messages: object[]): Answer =>
  (response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(messages.map((message) => `${JSON.stringify(message)}\r\n`).join(''));
  };
const PUSHED = { progressDetail: {}, aux: { Tag: TAG, Digest: DIGEST, Size: 528 } };

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** The calls about images, which the fake engine leaves to its tests. */
function imageCalls(request: IncomingMessage, response: ServerResponse): boolean {
  const url = new URL(request.url ?? '', 'http://engine');
  const path = decodeURIComponent(url.pathname).replace('/images/', '');
  const [, name = '', call = ''] = /^(.*)\/(tag|push|json)$/.exec(path) ?? [];
  calls.push(`${request.method} ${call || path}`);
  if (call === 'push') {
    expect([name, url.searchParams.get('tag')]).toEqual([REPOSITORY, TAG]);
    login = JSON.parse(Buffer.from(`${request.headers['x-registry-auth']}`, 'base64url').toString('utf8'));
    const next = pushes.length > 1 ? pushes.shift() : pushes[0];
    next?.(response);
  } else if (!there || (request.method === 'DELETE' && !names.has(path))) {
    reply(response, 404, { message: `No such image: ${name || path}` });
  } else if (call === 'tag') {
    names.add(`${url.searchParams.get('repo')}:${url.searchParams.get('tag')}`);
    reply(response, 201, {});
  } else if (call === 'json') reply(response, 200, { Id: ID, RepoTags: [...names] });
  else {
    expect([request.method, url.searchParams.get('noprune')]).toEqual(['DELETE', 'true']);
    names.delete(path);
    reply(response, 200, []);
  }
  return true;
}

beforeEach(async () => {
  names = new Set(['goldfish-abc:latest']);
  there = true;
  calls = [];
  login = undefined;
  pushes = [said(PUSHED)];
  engine = await startFakeEngine('tcp', imageCalls);
  builder = createImageBuilder({
    engine: createEngine(parseAddress(engine.address)),
    layout: { images: '/none' },
    clock: systemClock,
  });
});
afterEach(() => engine.close());

async function push(
  change: Partial<ImagePush> & { signal?: AbortSignal } = {},
): Promise<{ digest: string; lines: string[] }> {
  const { signal, ...other } = change;
  const lines: string[] = [];
  const image = { id: ID, repository: REPOSITORY, tag: TAG, login: LOGIN, ...other };
  const options = { onLine: (line: string) => void lines.push(line), ...(signal ? { signal } : {}) };
  return { ...(await builder.push(image, options)), lines };
}

describe('a push', () => {
  it('gives the image a name for as long as it takes, and answers the digest', async () => {
    expect((await push()).digest).toBe(DIGEST);
    expect(calls).toEqual(['POST tag', 'POST push', 'GET json', `DELETE ${NAME}`]);
    expect([...names]).toEqual(['goldfish-abc:latest']);
  });

  it('signs in at the registry with what it was given', async () => {
    await push();
    expect(login).toEqual({ ...LOGIN, serveraddress: 'registry.example' });
  });

  it('tells the engine where nobody signs in', async () => {
    await push({ login: null });
    expect(login).toEqual({});
  });

  it('tells what became of each layer, and nothing of what it goes through', async () => {
    pushes = [
      said(
        { status: `The push refers to repository [${REPOSITORY}]` },
        { status: 'Preparing', progressDetail: {}, id: 'abc' },
        { status: 'Waiting', progressDetail: {}, id: 'def' },
        { status: 'Pushing', progressDetail: { current: 1 }, progress: '[=>  ]', id: 'abc' },
        { status: 'Layer already exists', progressDetail: {}, id: 'def' },
        { status: 'Pushed', progressDetail: {}, id: 'abc' },
        { status: `${TAG}: digest: ${DIGEST} size: 528` },
        PUSHED,
      ),
    ];
    expect((await push()).lines).toEqual([
      `The push refers to repository [${REPOSITORY}]`,
      'def: Layer already exists',
      'abc: Pushed',
      `${TAG}: digest: ${DIGEST} size: 528`,
    ]);
  });

  it('leaves the name where it is the image’s only one: without it the engine would remove the image', async () => {
    names.clear();
    await push();
    expect([...names]).toEqual([NAME]);
  });

  it('gives the name anew where another process took it away in between', async () => {
    const gone = said({ status: 'The push refers to repository' }, { error: `tag does not exist: ${NAME}` });
    const refused: Answer = (response) =>
      reply(response, 404, { message: `An image does not exist locally with the tag: ${REPOSITORY}` });
    pushes = [gone, refused, said(PUSHED)];
    expect((await push()).digest).toBe(DIGEST);
    expect(calls.filter((call) => call === 'POST tag')).toHaveLength(3);
  });

  it.each(['blob unknown to registry', 'received unexpected HTTP status: 500 Internal Server Error'])(
    'goes on where it met another one of the same: %s',
    async (error) => {
      pushes = [said({ error }), said(PUSHED)];
      expect((await push()).digest).toBe(DIGEST);
      expect(calls.filter((call) => call === 'POST push')).toHaveLength(2);
    },
  );

  it('does not do so for ever', async () => {
    pushes = [said({ error: `tag does not exist: ${NAME}` })];
    await expect(push()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE', retryable: true });
    expect(calls.filter((call) => call === 'POST push')).toHaveLength(5);
  });
});

describe('a push that fails', () => {
  const ROLE =
    'Give its account the role roles/artifactregistry.writer there, or name another repository with gce.artifact_registry.';
  const AGAIN = 'Repeat the call; if it stays so, look at the network and at gce.artifact_registry.';

  it.each([
    [
      'name unknown: Repository "r" not found',
      `The registry has no repository for "${REPOSITORY}".`,
      'Make it (gcloud artifacts repositories create), or name another one with gce.artifact_registry.',
      false,
    ],
    [
      'denied: Permission "artifactregistry.repositories.uploadArtifacts" denied on resource "r"',
      `The registry does not let Goldfish use "${REPOSITORY}" (denied: Permission "artifactregistry.repositories.uploadArtifacts" denied on resource "r").`,
      ROLE,
      false,
    ],
    [
      'no basic auth credentials',
      `The registry does not let Goldfish use "${REPOSITORY}" (no basic auth credentials).`,
      ROLE,
      false,
    ],
    [
      'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
      `The registry did not do its part for "${REPOSITORY}" (Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host).`,
      AGAIN,
      true,
    ],
    [
      'received unexpected HTTP status: 503 Service Unavailable',
      `The registry did not do its part for "${REPOSITORY}" (received unexpected HTTP status: 503 Service Unavailable).`,
      AGAIN,
      true,
    ],
  ])('says so: %s', async (says, message, hint, retryable) => {
    pushes = [said({ status: 'Preparing', id: 'abc' }, { errorDetail: { message: says }, error: says })];
    await expect(push()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE', message, hint, retryable });
    expect([...names]).toEqual(['goldfish-abc:latest']);
  });

  it('has failed, whatever digest came before', async () => {
    pushes = [said(PUSHED, { error: 'received unexpected HTTP status: 500 Internal Server Error' })];
    await expect(push()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE', retryable: true });
  });

  it('says what the engine said where it did not begin at all', async () => {
    pushes = [(response) => reply(response, 500, { message: 'unauthorized: authentication required' })];
    await expect(push()).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: `The registry does not let Goldfish use "${REPOSITORY}" (unauthorized: authentication required).`,
    });
  });

  it('is the engine’s fault where its stream breaks off', async () => {
    pushes = [
      (response) => {
        response.writeHead(200, { 'Content-Type': 'application/json' });
        response.write('{"status":"Pushed","id":"abc"}\r\n', () => response.destroy());
      },
    ];
    await expect(push()).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'The container engine does not answer (ECONNRESET).',
      retryable: true,
    });
    expect([...names]).toEqual(['goldfish-abc:latest']);
  });

  it.each([
    ['nothing', []],
    ['the digest of another tag', [{ aux: { Tag: 'other', Digest: DIGEST } }]],
    ['what is no digest', [{ aux: { Tag: TAG, Digest: 'sha256:1' } }]],
  ])('has failed where the engine ends it with %s', async (_what, messages) => {
    pushes = [said({ status: 'Pushed', id: 'abc' }, ...messages)];
    await expect(push()).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'The container engine ended a push without saying how it went.',
      hint: 'Repeat the call; what was sent is not sent again.',
      retryable: true,
    });
  });

  it('says that the image is gone', async () => {
    there = false;
    await expect(push()).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'The image aaaaaaaaaaaa is not on this machine any more.',
      hint: 'Somebody may be removing images; retry.',
      retryable: true,
    });
    expect(calls).not.toContain('POST push');
  });

  it('tells nobody what it signed in with', async () => {
    pushes = [said({ error: 'denied: no' })];
    const error = await push().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(`${JSON.stringify(error)} ${(error as Error).message}`).not.toContain(LOGIN.password);
  });
});

describe('a push that is aborted', () => {
  it('ends at once, with the engine’s work on it, and takes the name back', async () => {
    let closed = false;
    pushes = [
      (response) => {
        response.once('close', () => {
          closed = true;
        });
        response.writeHead(200, { 'Content-Type': 'application/json' });
        response.write('{"status":"Preparing","id":"abc"}\r\n');
      },
    ];
    const gate = new AbortController();
    const pushing = push({ signal: gate.signal });
    pushing.catch(() => undefined);
    await until(() => calls.includes('POST push'), 'the push');
    gate.abort();
    await expect(pushing).rejects.toMatchObject({ name: 'AbortError' });
    expect([...names]).toEqual(['goldfish-abc:latest']);
    await until(() => closed, 'the engine to be left alone');
  });

  it('does not begin where that came first', async () => {
    await expect(push({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls).toEqual([]);
  });
});
