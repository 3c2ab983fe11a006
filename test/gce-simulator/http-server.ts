import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiError } from '../support/google-api-error.ts';
import type { Simulator } from './simulator.ts';

export type ApiServer = {
  host: string;
  port: number;
  close(): Promise<void>;
};

/** A request that is longer than this is none of ours. Bytes. */
const LONGEST_BODY = 4 * 1024 * 1024;

/** What answers requests that are no calls of the API, such as those of the control page; undefined passes them on. */
export type OtherRequests = (
  method: string,
  path: string,
  body: string,
) => { status: number; body: unknown } | undefined;

/** The simulator over plain HTTP, for a client that is pointed at it. */
export async function serveApi(
  simulator: Simulator,
  {
    host,
    port,
    others = () => undefined,
  }: {
    /** A loopback address. */
    host: string;
    /** 0 takes any that is free. */
    port: number;
    others?: OtherRequests;
  },
): Promise<ApiServer> {
  const server = createServer((request, response) => {
    answer(simulator, others, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  simulator: Simulator,
  others: OtherRequests,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const text = await bodyOf(request);
  const { method = 'GET', url: path = '/', headers } = request;
  const other = others(method, path, text);
  response.setHeader('Date', new Date(simulator.serviceNow()).toUTCString());
  if (other) return reply(response, other);
  let body: unknown;
  try {
    body = text === '' ? undefined : JSON.parse(text);
  } catch {
    return reply(response, { status: 400, body: new ApiError(400, 'parseError', 'Parse Error').body() });
  }
  const version = headers['x-goog-api-version'];
  const answered = await simulator.call({
    method,
    path,
    body,
    authorization: headers.authorization,
    apiVersion: Array.isArray(version) ? version[0] : version,
  });
  if (answered === 'disconnect') request.socket.destroy();
  else reply(response, answered);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const data = Buffer.from(chunk);
    length += data.length;
    if (length > LONGEST_BODY) throw new Error('The request is too long.');
    chunks.push(data);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function reply(response: ServerResponse, { status, body }: { status: number; body: unknown }): void {
  const isText = typeof body === 'string';
  response.writeHead(status, {
    'Content-Type': isText ? 'text/html; charset=UTF-8' : 'application/json; charset=UTF-8',
  });
  response.end(isText ? body : JSON.stringify(body, null, 2));
}
