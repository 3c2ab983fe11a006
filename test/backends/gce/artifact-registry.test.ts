import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  answer,
  at,
  DIGEST,
  failure,
  found,
  guarded,
  HOST,
  IMAGE,
  LOOK,
  MANIFEST,
  MEDIA_TYPE,
  PASSWORD,
  REPOSITORY,
  ROLE,
  realm,
  refused,
  registry,
  scope,
  serveRegistry,
  TOKEN,
  told,
  whole,
} from './artifact-registry-kit.ts';

serveRegistry();

describe('the digest of a tag', () => {
  it('is what the registry says of its manifest, of whatever kind that may be', async () => {
    let accept: string | undefined;
    at.handle = (request, response) => {
      accept = request.headers.accept;
      found(request, response);
    };
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(at.asked).toEqual([`HEAD ${MANIFEST}`]);
    expect(accept?.split(', ').sort()).toEqual([
      'application/vnd.docker.distribution.manifest.list.v2+json',
      'application/vnd.docker.distribution.manifest.v2+json',
      'application/vnd.oci.image.index.v1+json',
      'application/vnd.oci.image.manifest.v1+json',
    ]);
  });

  it('is none where nobody has pushed it', async () => {
    at.handle = refused({ code: 'MANIFEST_UNKNOWN', message: 'Failed to fetch "id-1"' });
    expect(await registry().digest(IMAGE)).toBeUndefined();
    at.handle = refused({ code: 'NAME_UNKNOWN', message: 'repository name not known to registry' });
    expect(await registry().digest(IMAGE)).toBeUndefined();
    at.handle = answer(404, { 'content-type': 'text/html' }, '<h1>not found</h1>');
    expect(await registry().digest(IMAGE)).toBeUndefined();
  });

  it('cannot be had where there is no such repository', async () => {
    at.handle = refused({ code: 'NAME_UNKNOWN', message: 'Repository "r" not found' });
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
    at.handle = answer(200, headers as Record<string, string>);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`What answers for "${REPOSITORY}" is no registry of images (${why}).`, LOOK),
    );
  });

  it('is asked of the configured repository only', async () => {
    const elsewhere = { repository: 'evil.example/p/r/goldfish', tag: 'id-1' };
    await expect(registry().digest(elsewhere)).rejects.toThrow(
      `evil.example/p/r/goldfish does not lie in ${REPOSITORY}`,
    );
    expect(at.asked).toEqual([]);
  });
});

describe('an image by its digest', () => {
  const reference = `${REPOSITORY}/goldfish@${DIGEST}`;

  it('is there or not', async () => {
    at.handle = found;
    expect(await registry().exists(reference)).toBe(true);
    expect(at.asked).toEqual([`HEAD /v2/p/r/goldfish/manifests/${DIGEST}`]);
    at.handle = answer(404);
    expect(await registry().exists(reference)).toBe(false);
  });

  it('is named by its digest', async () => {
    await expect(registry().exists(`${REPOSITORY}/goldfish:id-1`)).rejects.toThrow('names no digest');
    expect(at.asked).toEqual([]);
  });
});

describe('an image by its id', () => {
  const ID = `sha256:${'1'.repeat(64)}`;
  const OTHER = `sha256:${'2'.repeat(64)}`;
  const config = (digest: string): object => ({ mediaType: 'application/json', size: 1, digest });
  const plain = { schemaVersion: 2, mediaType: MEDIA_TYPE, config: config(ID), layers: [{ size: 1 }] };
  const hash = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

  /** Whether the description is taken for the image of that id, where the registry has it under its own digest. */
  async function isIt(
    text: string,
    { id = ID, type = MEDIA_TYPE, digest = hash(text) } = {},
  ): Promise<boolean> {
    at.handle = answer(200, { 'content-type': type, 'docker-content-digest': digest }, text);
    return registry().isImage(`${REPOSITORY}/goldfish@${digest}`, id);
  }

  it('is the one whose description names its settings', async () => {
    const text = JSON.stringify(plain);
    expect(await isIt(text)).toBe(true);
    expect(at.asked).toEqual([`GET /v2/p/r/goldfish/manifests/${hash(text)}`]);
    expect(await isIt(text, { id: OTHER })).toBe(false);
    const oci = 'application/vnd.oci.image.manifest.v1+json';
    expect(await isIt(JSON.stringify({ ...plain, mediaType: oci, annotations: {} }), { type: oci })).toBe(
      true,
    );
  });

  it('is the description itself where the engine calls it so, and then nobody is asked', async () => {
    expect(await registry().isImage(`${REPOSITORY}/goldfish@${ID}`, ID)).toBe(true);
    expect(at.asked).toEqual([]);
  });

  it.each([
    ['another image', JSON.stringify({ ...plain, config: config(OTHER) })],
    ['a list as well', JSON.stringify({ ...plain, manifests: [] })],
    ['a second spelling', JSON.stringify({ ...plain, Config: config(OTHER) })],
    ['a second spelling further in', JSON.stringify({ ...plain, config: { ...config(ID), Digest: OTHER } })],
    ['another version', JSON.stringify({ ...plain, schemaVersion: 1 })],
    ['no settings', JSON.stringify({ schemaVersion: 2, layers: [] })],
    ['what is no JSON', 'manifest'],
    ['more than is read', JSON.stringify({ ...plain, annotations: { long: 'x'.repeat(100_000) } })],
  ])('is not what is described with %s', async (_what, text) => {
    expect(await isIt(text)).toBe(false);
  });

  it('is not what comes as a list, or as something else than was asked for', async () => {
    const text = JSON.stringify(plain);
    expect(await isIt(text, { type: 'application/vnd.oci.image.index.v1+json' })).toBe(false);
    expect(await isIt(text, { digest: OTHER })).toBe(false);
    at.handle = answer(404);
    expect(await registry().isImage(`${REPOSITORY}/goldfish@${DIGEST}`, ID)).toBe(false);
  });

  it('is asked for by whoever may, and is not judged where nobody answers', async () => {
    const text = JSON.stringify(plain);
    at.handle = guarded(whole, { inside: answer(200, { 'content-type': MEDIA_TYPE }, text) });
    expect(await registry().isImage(`${REPOSITORY}/goldfish@${hash(text)}`, ID)).toBe(true);
    expect(at.signed).toEqual([undefined, PASSWORD, 'Bearer registry-token']);
    at.handle = answer(503);
    expect(await failure(registry().isImage(`${REPOSITORY}/goldfish@${DIGEST}`, ID))).toMatchObject({
      message: `The registry did not do its part for "${REPOSITORY}" (HTTP 503).`,
      retryable: true,
    });
  });
});

describe('a registry that wants to know who asks', () => {
  it('gives a token for that of the account, which lets in', async () => {
    at.handle = guarded(whole);
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(at.asked).toEqual([
      `HEAD ${MANIFEST}`,
      `GET /v2/token?service=${HOST}&${scope}`,
      `HEAD ${MANIFEST}`,
    ]);
    expect(at.signed).toEqual([undefined, PASSWORD, 'Bearer registry-token']);
    expect(new Set(at.sent)).toEqual(new Set([`https://${HOST}`]));
  });

  it('need not say for what', async () => {
    at.handle = guarded(realm);
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(at.asked[1]).toBe(`GET /v2/token?${scope}`);
  });

  it('may call its token an access token', async () => {
    at.handle = guarded(whole, { tokens: answer(200, {}, '{"access_token": "registry-token"}') });
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
  });

  it('may want the account’s token itself', async () => {
    at.handle = guarded('Basic realm="goldfish"', { key: PASSWORD });
    expect(await registry().digest(IMAGE)).toBe(DIGEST);
    expect(at.signed).toEqual([undefined, PASSWORD]);
  });

  it('is told it again when it is asked why there is no such image', async () => {
    at.handle = guarded(whole, {
      inside: refused({ code: 'NAME_UNKNOWN', message: 'Repository "r" not found' }),
    });
    expect(await failure(registry().digest(IMAGE))).toMatchObject({
      message: `The registry has no repository for "${REPOSITORY}".`,
    });
    expect(at.signed).toEqual([undefined, PASSWORD, 'Bearer registry-token', 'Bearer registry-token']);
  });

  it.each([
    ['another host', 'https://evil.example/token'],
    ['plain http', `http://${HOST}/v2/token`],
    ['nowhere', 'nonsense'],
  ])('is told nothing where it sends the login to %s', async (_where, place) => {
    at.handle = guarded(`Bearer realm="${place}",service="x"`);
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
    expect([at.asked, tokens]).toEqual([[`HEAD ${MANIFEST}`], 0]);
  });

  it.each([
    ['what is no JSON', 'token'],
    ['no token', '{"expires_in": 300}'],
    ['what cannot stand in a header', '{"token": "two\\nlines"}'],
    ['more than can be read', `{"token": "registry-token", "rest": "${'x'.repeat(100_000)}"}`],
  ])('gives no token with %s', async (_what, text) => {
    at.handle = guarded(whole, { tokens: answer(200, {}, text) });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(
      told(`What answers for "${REPOSITORY}" is no registry of images (it gives no token).`, LOOK),
    );
  });

  it('does not let in whom it does not know', async () => {
    const why = (status: number): object =>
      told(`The registry does not let Goldfish use "${REPOSITORY}" (HTTP ${status}).`, ROLE);
    at.handle = guarded(whole, { tokens: answer(403) });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(why(403));
    // The token it gave itself does not do.
    at.handle = guarded(whole, { key: 'none' });
    expect(await failure(registry().digest(IMAGE))).toMatchObject(why(401));
    at.handle = answer(401);
    expect(await failure(registry().digest(IMAGE))).toMatchObject(why(401));
  });
});
