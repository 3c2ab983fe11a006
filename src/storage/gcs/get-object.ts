import { addAbortSignal, Readable } from 'node:stream';
import { missingObject } from '../object-errors.ts';
import type { CallOptions } from '../port.ts';
import { createCrc32c } from './crc32c.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { GcsFailure, isPassing, isStatus, transportFailure } from './gcs-failure.ts';
import { objectUrl } from './object-resource.ts';
import { repeatRequest } from './repeat-request.ts';
import { refusal, transmit } from './send-request.ts';
import { isAbsent } from './stat-object.ts';
import { storageError } from './storage-error.ts';

/** A body of which something has come. `sum` and `size` are those of the whole object, where the service tells them. */
type Download = {
  begun: IteratorResult<Buffer, void>;
  rest: AsyncGenerator<Buffer, void, void>;
  generation: string | undefined;
  size: number | undefined;
  sum: string | undefined;
};
type Reading = { bucket: GcsBucket; key: string; signal: AbortSignal };

/**
 * The object as it is now, as a stream. One that breaks off is gone on with where it stopped, of the same generation;
 * at its end the sum of all bytes is compared with what the service keeps, and the stream fails where it differs.
 * Errors: missing; GcsFailure. Those of the stream are in the words of the port.
 */
export async function getObject(bucket: GcsBucket, key: string, call: CallOptions): Promise<Readable> {
  call.signal?.throwIfAborted();
  const stop = new AbortController();
  const signal = call.signal ? AbortSignal.any([call.signal, stop.signal]) : stop.signal;
  const reading = { bucket, key, signal };
  const download = await openDownload(reading, 0).catch(async (error: unknown) => {
    throw (await isAbsent(bucket, error, call.signal)) ? missingObject(key) : error;
  });
  const pieces = readAll(reading, download);
  const stream = new Readable({
    read() {
      pieces.next().then(
        ({ done, value }) => this.push(done === true ? null : value),
        (error: Error) => this.destroy(error),
      );
    },
    // Also where nobody has read anything: the connection is given back at once.
    destroy(error, done) {
      stop.abort();
      done(error);
    },
  });
  return call.signal ? addAbortSignal(call.signal, stream) : stream;
}

async function* readAll(reading: Reading, first: Download): AsyncGenerator<Buffer, void, void> {
  const { bucket, signal } = reading;
  const sum = createCrc32c();
  let received = 0;
  try {
    for (let download = first; ; ) {
      try {
        for await (const piece of allOf(download)) {
          received += piece.length;
          sum.update(piece);
          yield piece;
        }
        if (first.size !== undefined && received < first.size) throw new GcsFailure('network');
        break;
      } catch (error) {
        signal.throwIfAborted();
        if (!isPassing(error) || first.generation === undefined) throw error;
        if (received === first.size) break;
        download = await openDownload(reading, received, first);
      }
    }
    if (first.sum !== undefined && first.sum !== sum.value()) throw new GcsFailure('damaged');
  } catch (error) {
    signal.throwIfAborted();
    // Only now: while it was read somebody has written or deleted it, and the connection broke besides.
    throw storageError(bucket, isStatus(error, 404) ? new GcsFailure('lost', { cause: error }) : error);
  }
}

async function* allOf({ begun, rest }: Download): AsyncGenerator<Buffer, void, void> {
  if (begun.done === true) return;
  yield begun.value;
  yield* rest;
}

/** From a byte on, repeated until some of it has come, so that every repetition gets on. Errors: GcsFailure. */
async function openDownload(
  { bucket, key, signal }: Reading,
  from: number,
  before?: Download,
): Promise<Download> {
  const request = {
    method: 'GET' as const,
    url: objectUrl(bucket, key),
    query: { alt: 'media', generation: before?.generation },
    // Stored bytes as they are: compressed on the way, their sum would be another one.
    headers: { 'accept-encoding': 'identity', ...(from > 0 ? { range: `bytes=${from}-` } : {}) },
  };
  return repeatRequest(bucket, { signal }, async ({ limitMs }) => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), limitMs);
    const either = AbortSignal.any([signal, late.signal]);
    const response = await transmit(bucket, request, 'stream', either).finally(() => clearTimeout(timer));
    const body = response.data;
    if (!(body instanceof Readable)) throw new GcsFailure('network');
    if (response.status !== (from > 0 ? 206 : 200)) {
      body.on('error', () => undefined).destroy();
      // A whole object instead of its rest is an answer of something in between.
      throw response.status < 300 ? new GcsFailure('network') : refusal(response.status, '');
    }
    return begin(response.headers, body, { from, limitMs });
  });
}

async function begin(
  headers: Headers,
  body: Readable,
  { from, limitMs }: { from: number; limitMs: number },
): Promise<Download> {
  // Its end may come as an error that nobody reads any more.
  body.on('error', () => undefined);
  const length = headers.get('x-goog-stored-content-length');
  const size = length === null ? undefined : Number(length);
  const rest = piecesOf(body, limitMs);
  const begun = await rest.next();
  if (begun.done === true && size !== undefined && from < size) throw new GcsFailure('network');
  const sum = /crc32c=([^,\s]+)/.exec(headers.get('x-goog-hash') ?? '')?.[1];
  return { begun, rest, size, sum, generation: headers.get('x-goog-generation') ?? undefined };
}

/** Gives up a body of which nothing comes for a while; how long its reader takes does not count. */
async function* piecesOf(body: Readable, patienceMs: number): AsyncGenerator<Buffer, void, void> {
  const pieces: AsyncIterator<Buffer> = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const silent = setTimeout(() => body.destroy(new GcsFailure('network')), patienceMs);
      const next = await pieces.next().finally(() => clearTimeout(silent));
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    throw error instanceof GcsFailure ? error : new GcsFailure('network', { cause: transportFailure(error) });
  } finally {
    body.destroy();
  }
}
