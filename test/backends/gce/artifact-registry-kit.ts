import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach } from 'vitest';
import {
  type ArtifactRegistryOptions,
  createArtifactRegistry,
} from '../../../src/backends/gce/artifact-registry.ts';
import type { ImageRegistry } from '../../../src/backends/image-registry.ts';

export const HOST = 'europe-docker.pkg.dev';
export const REPOSITORY = `${HOST}/p/r`;
export const IMAGE = { repository: `${REPOSITORY}/goldfish`, tag: 'id-1' };
export const MANIFEST = '/v2/p/r/goldfish/manifests/id-1';
export const DIGEST = `sha256:${'d'.repeat(64)}`;
export const TOKEN = 'secret-token';
export const PASSWORD = `Basic ${Buffer.from(`oauth2accesstoken:${TOKEN}`).toString('base64')}`;
export const MEDIA_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
export const AGAIN = 'Repeat the call; if it stays so, look at the network and at gce.artifact_registry.';
export const ROLE =
  'Give its account the role roles/artifactregistry.writer there, or name another repository with gce.artifact_registry.';
export const LOOK = 'Look at gce.artifact_registry, and at proxies in between.';

export type Handle = (request: IncomingMessage, response: ServerResponse) => void;

/** What the server of a test file is told, and what reached it. */
export const at = {
  handle: answer(404),
  /** What arrived, in order: `HEAD /v2/…`, and what each signed in with. */
  asked: [] as string[],
  signed: [] as (string | undefined)[],
  /** Where it was sent: the network of these tests leads everywhere to this server. */
  sent: [] as string[],
};
let server: Server;

/** To be called once in a file of tests. */
export function serveRegistry(): void {
  beforeEach(async () => {
    Object.assign(at, { handle: answer(404), asked: [], signed: [], sent: [] });
    server = createServer((request, response) => {
      at.asked.push(`${request.method} ${request.url}`);
      at.signed.push(request.headers.authorization);
      at.handle(request, response);
    });
    await startRegistry();
  });
  afterEach(async () => {
    server.closeAllConnections();
    await stopRegistry();
  });
}

export function startRegistry(): Promise<void> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
}

export async function stopRegistry(): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}

export function localHost(): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function registry(change: Partial<ArtifactRegistryOptions> = {}): ImageRegistry {
  return createArtifactRegistry({
    repository: REPOSITORY,
    token: async () => TOKEN,
    limitMs: 10_000,
    send: (url, init) => {
      at.sent.push(url.origin);
      return fetch(new URL(`${url.pathname}${url.search}`, `http://${localHost()}`), init);
    },
    ...change,
  });
}

/** One of this machine, over the real network. */
export function local(change: Partial<ArtifactRegistryOptions> = {}): ImageRegistry {
  return createArtifactRegistry({ repository: `${localHost()}/p/r`, token: null, ...change });
}
export const localImage = () => ({ repository: `${localHost()}/p/r/goldfish`, tag: 'id-1' });

export function answer(status: number, headers: Record<string, string> = {}, body = ''): Handle {
  return (_request, response) => {
    response.writeHead(status, headers);
    response.end(body);
  };
}
export const found = answer(200, { 'content-type': MEDIA_TYPE, 'docker-content-digest': DIGEST });
export const refused = (says: object): Handle =>
  answer(404, { 'content-type': 'application/json' }, JSON.stringify({ errors: [says] }));

/** Lets in who brings the token that is given for the account's; the rest is told what to bring. */
export function guarded(
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
export const realm = `Bearer realm="https://${HOST}/v2/token"`;
export const whole = `${realm},service="${HOST}",scope="repository:p/r/goldfish:pull"`;
export const scope = 'scope=repository%3Ap%2Fr%2Fgoldfish%3Apull';

export const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it did not fail',
    (error: unknown) => error,
  );
export const told = (message: string, hint: string, retryable = false): object => ({
  code: 'BACKEND_UNAVAILABLE',
  message,
  hint,
  retryable,
  details: { repository: REPOSITORY },
});
