import type { GcsBucket, TransportRequest, TransportResponse } from './gcs-bucket.ts';
import { GcsFailure, transportFailure } from './gcs-failure.ts';

export type GcsRequest = {
  method: TransportRequest['method'];
  /** Below the endpoint, or whole where the service named an address itself. */
  url: string;
  query?: Record<string, string | undefined>;
  headers?: Record<string, string>;
  body?: Buffer;
};

export type GcsAnswer = { status: number; headers: Headers; text: string };

/** An upload slower than this is given up: 64 KiB a second. */
const SLOWEST_BYTES_PER_MS = 64;

/** `limitMs` is for the request without its body, which gets time of its own. */
export type Attempt = { limitMs: number; signal?: AbortSignal };

/**
 * One request and its whole answer.
 * Errors: GcsFailure; whatever the signal was aborted with.
 */
export async function sendRequest(
  bucket: GcsBucket,
  request: GcsRequest,
  attempt: Attempt,
): Promise<GcsAnswer> {
  const limitMs = attempt.limitMs + (request.body?.length ?? 0) / SLOWEST_BYTES_PER_MS;
  const signals = [AbortSignal.timeout(Math.ceil(limitMs)), ...(attempt.signal ? [attempt.signal] : [])];
  const response = await transmit(bucket, request, 'text', AbortSignal.any(signals)).catch(
    (error: unknown) => {
      attempt.signal?.throwIfAborted();
      throw error;
    },
  );
  const text = typeof response.data === 'string' ? response.data : '';
  if (!isAnswer(response.status)) throw refusal(response.status, text);
  return { status: response.status, headers: response.headers, text };
}

/** The answer's head, with its body as a stream in `data`. Any status. The signal ends the body too. */
export async function transmit(
  bucket: GcsBucket,
  { method, url, query = {}, headers = {}, body }: GcsRequest,
  responseType: 'text' | 'stream',
  signal: AbortSignal,
): Promise<TransportResponse> {
  const address = new URL(url, bucket.endpoint);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) address.searchParams.set(name, value);
  }
  const transport = await bucket.transport();
  const asked = { method, url: address.href, headers, responseType, signal, ...(body ? { data: body } : {}) };
  try {
    const fixed = { redirect: 'manual', retry: false, validateStatus: () => true } as const;
    const response = await transport.request({ ...asked, ...fixed });
    // Who is told that a condition does not hold has been let in.
    if (isAnswer(response.status) || response.status === 412) bucket.seen = true;
    return response;
  } catch (error) {
    throw transportFailure(error);
  }
}

/** 308 is no redirection here, but an upload that is not complete. */
const isAnswer = (status: number): boolean => (status >= 200 && status < 300) || status === 308;

export function refusal(status: number, text: string): GcsFailure {
  return new GcsFailure('status', { status, message: `HTTP ${status}: ${text.slice(0, 500)}` });
}
