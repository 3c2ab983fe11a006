import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metadata, MetadataAnswer, MetadataQuery } from './metadata.ts';
import { tokenPath } from './metadata-tree.ts';

const ROOT = '/computeMetadata/v1/';
const TOKEN_SECONDS = 3599;

export type MetadataServer = {
  /** `127.0.10.2:80`: what a program is given as `GCE_METADATA_HOST`. */
  address: string;
  close(): Promise<void>;
};

/**
 * The metadata server of one machine over HTTP: `Metadata-Flavor: Google` is required, `recursive`, `alt`,
 * `wait_for_change`, `last_etag` and `timeout_sec` work, every answer has an ETag.
 */
export async function startMetadataServer({
  metadata,
  host,
  port,
  token = 'simulated-machine-token',
}: {
  metadata: Metadata;
  /** A loopback address; each machine has its own. */
  host: string;
  /** 80 is what programs expect; 0 takes any that is free. */
  port: number;
  /** What the token endpoint hands out. */
  token?: string;
}): Promise<MetadataServer> {
  const server = createServer((request, response) => {
    answer({ metadata, token }, request).then(
      (found) => send(response, found),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    address: `${host}:${bound}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Sent = Omit<MetadataAnswer, 'status' | 'etag'> & { status: number; etag?: string };

function refusal(status: number, why: string): Sent {
  return { status, body: why, contentType: 'text/html; charset=UTF-8' };
}

async function answer(
  { metadata, token }: { metadata: Metadata; token: string },
  request: IncomingMessage,
): Promise<Sent> {
  const url = new URL(request.url ?? '/', 'http://metadata.google.internal');
  // Libraries ask for this to learn whether there is such a server; it needs no header.
  if (url.pathname === '/')
    return { status: 200, body: 'computeMetadata/\n', contentType: 'application/text' };
  if (request.method !== 'GET') return refusal(405, 'Method Not Allowed');
  if (request.headers['x-forwarded-for']) return refusal(403, 'X-Forwarded-For is not allowed.');
  if (request.headers['metadata-flavor'] !== 'Google') {
    return refusal(403, 'Missing required header "Metadata-Flavor": "Google".');
  }
  if (!url.pathname.startsWith(ROOT)) return refusal(404, 'The requested URL was not found on this server.');
  const path = decodeURIComponent(url.pathname.slice(ROOT.length));
  const account = tokenPath(path);
  if (account !== undefined) return tokenOf(metadata, account, token);
  const query: MetadataQuery = { path };
  if (url.searchParams.get('recursive') === 'true') query.recursive = true;
  const alt = url.searchParams.get('alt');
  if (alt === 'json' || alt === 'text') query.alt = alt;
  if (url.searchParams.get('wait_for_change') !== 'true') return metadata.answer(query);
  const lastEtag = url.searchParams.get('last_etag');
  const timeout = url.searchParams.get('timeout_sec');
  return metadata.waitForChange(query, {
    ...(lastEtag !== null && { lastEtag }),
    ...(timeout !== null && { timeoutSeconds: Number(timeout) }),
  });
}

function tokenOf(metadata: Metadata, account: string, token: string): Sent {
  if (metadata.answer({ path: `instance/service-accounts/${account}/email` }).status !== 200) {
    return refusal(404, 'The requested URL was not found on this server.');
  }
  const body = JSON.stringify({ access_token: token, expires_in: TOKEN_SECONDS, token_type: 'Bearer' });
  return { status: 200, body, contentType: 'application/json' };
}

function send(response: ServerResponse, { status, body, contentType, etag, location }: Sent): void {
  response.writeHead(status, {
    'Metadata-Flavor': 'Google',
    'Content-Type': contentType,
    Server: 'Metadata Server for VM',
    ...(etag !== undefined && { ETag: etag }),
    ...(location !== undefined && { Location: location }),
  });
  response.end(body);
}
