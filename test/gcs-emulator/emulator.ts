import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ApiError } from '../support/google-api-error.ts';
import { type Answer, json, nothing } from './answer.ts';
import { Buckets } from './buckets.ts';
import { type Content, contentOf, corruptContent, sliceContent } from './content.ts';
import { control } from './control.ts';
import { DerivedObjects } from './derive-objects.ts';
import { Faults, type Trouble } from './faults.ts';
import { handle, type Limits } from './handle.ts';
import { type Operation, type Route, routeOf } from './route.ts';
import { Uploads } from './uploads.ts';

/**
 * Cloud Storage as its JSON API shows it, in one process, its objects in memory. What it promises is what the service
 * does: generations that always grow, every precondition, checksums, sessions that can be resumed. What goes wrong is
 * scripted in `faults`.
 */
export class GcsEmulator {
  readonly faults = new Faults();
  readonly limits: Limits = {
    rowsPerPage: 1000,
    bytesPerRewrite: Number.POSITIVE_INFINITY,
    comparesSums: true,
  };
  /** How far its clock is ahead of that of this machine. */
  skewMs = 0;
  /** Operations of all requests, in order, also of those that were refused. */
  readonly requests: Operation[] = [];
  readonly #received = new Map<Operation, number>();
  readonly buckets = new Buckets(() => Date.now() + this.skewMs, this.limits);
  readonly uploads = new Uploads(this.buckets);
  readonly derived = new DerivedObjects(this.buckets);
  readonly #server: Server = createServer((request, response) => {
    this.#serve(request, response).catch(() => request.socket.destroy());
  });

  /** Listens; port 0 takes a free one. */
  static async start({ host = '127.0.0.1', port = 0 } = {}): Promise<GcsEmulator> {
    const emulator = new GcsEmulator();
    await new Promise<void>((resolve, reject) => {
      emulator.#server.once('error', reject).listen(port, host, resolve);
    });
    return emulator;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
  }

  /** How many bytes the bodies of an operation's requests had, as far as they came. */
  bytesOf(operation: Operation): number {
    return this.#received.get(operation) ?? 0;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const origin = `http://${request.headers.host}`;
    const url = new URL(request.url ?? '/', origin);
    const method = request.method ?? 'GET';
    const headers = plainHeaders(request);
    if (url.pathname.startsWith('/emulator/')) {
      const body = Buffer.concat((await readBody(request)).pieces).toString();
      return send(
        response,
        failsafe(() => control(this, method, url, body)),
      );
    }
    let route: Route;
    try {
      route = routeOf({ method, url, contentRange: headers['content-range'] ?? '' });
    } catch (error) {
      return send(response, failure(error));
    }
    this.requests.push(route.operation);
    const trouble = this.faults.strike(route);
    const content = await readBody(request, trouble);
    this.#received.set(route.operation, this.bytesOf(route.operation) + content.size);
    // Of all requests only a piece of a resumable upload counts without its end.
    const useless = trouble?.kind === 'cut-request' && route.operation !== 'uploads.write';
    if (trouble?.kind === 'refuse' || useless) return void request.socket.destroy();
    if (trouble?.kind === 'silence') return;
    if (trouble?.kind === 'status') {
      return send(response, failure(new ApiError(trouble.status, 'backendError', 'As the script has it.')));
    }
    const service = {
      buckets: this.buckets,
      uploads: this.uploads,
      derived: this.derived,
      limits: this.limits,
    };
    const answer = failsafe(() => handle(service, { route, headers, content, origin }));
    answer.headers['date'] = new Date(Date.now() + this.skewMs).toUTCString();
    if (trouble?.kind === 'lose-answer' || trouble?.kind === 'cut-request')
      return void request.socket.destroy();
    await sendTroubled(response, answer, trouble);
  }
}

/** A cut ends the body early, and the connection is gone when it is answered. */
async function readBody(request: IncomingMessage, trouble?: Trouble): Promise<Content> {
  const pieces: Buffer[] = [];
  let size = 0;
  const limit = trouble?.kind === 'cut-request' ? trouble.after : Number.POSITIVE_INFINITY;
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    pieces.push(piece as Buffer);
    size += (piece as Buffer).length;
    if (size >= limit) break;
  }
  const content = sliceContent(contentOf(pieces), 0, limit);
  return trouble?.kind === 'corrupt-request' ? corruptContent(content) : content;
}

function failsafe(work: () => Answer): Answer {
  try {
    return work();
  } catch (error) {
    return failure(error);
  }
}

function failure(error: unknown): Answer {
  const known = error instanceof ApiError ? error : new ApiError(500, 'internalError', String(error));
  return known.status === 304 ? nothing(304) : json(known.body(), { status: known.status });
}

function send(response: ServerResponse, { status, headers, content }: Answer): void {
  response.writeHead(status, { ...headers, 'content-length': content.size });
  if (response.req.method !== 'HEAD') for (const piece of content.pieces) response.write(piece);
  response.end();
}

async function sendTroubled(response: ServerResponse, answer: Answer, trouble?: Trouble): Promise<void> {
  if (trouble?.kind === 'corrupt-answer')
    return send(response, { ...answer, content: corruptContent(answer.content) });
  const { content } = answer;
  if (trouble?.kind === 'cut-answer') {
    response.writeHead(answer.status, { ...answer.headers, 'content-length': content.size });
    const { pieces } = sliceContent(content, 0, trouble.after);
    // What was written is on its way before the connection ends.
    await new Promise((resolve) => response.write(Buffer.concat(pieces), resolve));
    response.socket?.destroySoon();
    return;
  }
  if (trouble?.kind !== 'slow-answer') return send(response, answer);
  response.writeHead(answer.status, { ...answer.headers, 'content-length': content.size });
  for (let at = 0; at < content.size && !response.destroyed; at += trouble.pieceBytes) {
    await pause(trouble.pauseMs);
    for (const piece of sliceContent(content, at, at + trouble.pieceBytes).pieces) response.write(piece);
  }
  response.end();
}

function plainHeaders(request: IncomingMessage): Record<string, string> {
  const entries = Object.entries(request.headers);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : (value ?? '')]),
  );
}
