import { errnoBehind, type GoldfishError } from '../../core/errors.ts';
import type { CallOptions } from '../port.ts';
import { registryError } from '../registry-error.ts';

/** What sends a request: Node's `fetch`, or a test that stands in for the network. */
export type Send = (
  url: URL,
  init: { method: 'GET' | 'HEAD'; headers: Record<string, string>; redirect: 'manual'; signal: AbortSignal },
) => Promise<Response>;

/** A registry, and the repository in it that is ours. */
export type RegistryWay = {
  /** As configured: `europe-docker.pkg.dev/project/repository`. */
  repository: string;
  /** `https://europe-docker.pkg.dev`; plain http only to this machine. */
  origin: string;
  /** Null over plain http, and where nobody signs in. */
  token: (() => Promise<string>) | null;
  /** For one request with its answer, in milliseconds. */
  limitMs: number;
  send: Send;
};

export type RegistryRequest = { method: 'GET' | 'HEAD'; url: URL; headers: Record<string, string> };

/** `text`: the beginning of the body, which is all of it where it is what it should be. */
export type RegistryAnswer = { status: number; headers: Headers; text: string };

/** Tokens and errors are a few hundred bytes; whoever sends more is not read to the end. */
const MOST_BYTES = 64 * 1024;

/**
 * One request and its answer, whatever its status; redirections are answers. Errors: BACKEND_UNAVAILABLE where none came
 * in time; whatever the signal was aborted with.
 */
export async function askRegistry(
  way: RegistryWay,
  { url, method, headers }: RegistryRequest,
  { signal }: CallOptions,
): Promise<RegistryAnswer> {
  signal?.throwIfAborted();
  const limit = AbortSignal.timeout(way.limitMs);
  const either = signal ? AbortSignal.any([signal, limit]) : limit;
  try {
    const response = await way.send(url, { method, headers, redirect: 'manual', signal: either });
    return { status: response.status, headers: response.headers, text: await beginningOf(response) };
  } catch (cause) {
    signal?.throwIfAborted();
    const why = limit.aborted ? tooLate(way) : (errnoBehind(cause) ?? 'no answer');
    throw registryError(way.repository, { kind: 'unreachable', why, cause });
  }
}

export function tooLate({ limitMs }: Pick<RegistryWay, 'limitMs'>): string {
  return `no answer within ${limitMs / 1000} s`;
}

async function beginningOf({ body }: Response): Promise<string> {
  if (body === null) return '';
  const pieces: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop gives the connection up.
  for await (const piece of body) {
    pieces.push(piece);
    size += piece.length;
    if (size > MOST_BYTES) break;
  }
  return Buffer.concat(pieces).subarray(0, MOST_BYTES).toString('utf8');
}

/** What a status means that is no answer to the question. */
export function refusal(way: RegistryWay, status: number): GoldfishError {
  const why = `HTTP ${status}`;
  if (status === 401 && way.origin.startsWith('http:'))
    return registryError(way.repository, { kind: 'no login' });
  if (status === 401 || status === 403) return registryError(way.repository, { kind: 'forbidden', why });
  const passing = status === 408 || status === 429 || status >= 500;
  return registryError(way.repository, { kind: passing ? 'unreachable' : 'strange', why });
}
