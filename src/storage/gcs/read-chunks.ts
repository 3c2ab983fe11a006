import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { untilAborted } from '../../core/until-aborted.ts';
import { GcsFailure } from './gcs-failure.ts';

export type Body = Readable | Uint8Array | { file: string };
export type Chunk = { bytes: Buffer; last: boolean };

/**
 * A body in chunks of exactly `size` bytes, only the last one smaller; at least one. Holds one chunk and what the
 * source gives at once. Errors: GcsFailure `source`; whatever the signal was aborted with.
 */
export async function* readChunks(
  body: Body,
  { size, signal }: { size: number; signal?: AbortSignal },
): AsyncGenerator<Chunk, void, void> {
  let held: Buffer[] = [];
  let bytes = 0;
  for await (const piece of readPieces(body, signal)) {
    held.push(piece);
    bytes += piece.length;
    // One that is just full may be the last one, which is known when more comes or the end.
    while (bytes > size) {
      const whole = join(held, bytes);
      yield { bytes: whole.subarray(0, size), last: false };
      bytes -= size;
      held = [whole.subarray(size)];
    }
  }
  yield { bytes: join(held, bytes), last: true };
}

function join(pieces: Buffer[], bytes: number): Buffer {
  const [first] = pieces;
  return first !== undefined && pieces.length === 1 ? first : Buffer.concat(pieces, bytes);
}

async function* readPieces(body: Body, signal?: AbortSignal): AsyncGenerator<Buffer, void, void> {
  if (body instanceof Uint8Array) {
    yield Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    return;
  }
  const stream = 'file' in body ? createReadStream(body.file, { highWaterMark: 1 << 20 }) : body;
  const pieces = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await untilAborted(nextPiece(pieces), signal);
      if (next === undefined) return;
      yield next;
    }
  } finally {
    // A source that has come to a halt is not waited for: what becomes of it is its maker's business.
    stream.destroy();
  }
}

async function nextPiece(pieces: AsyncIterator<unknown>): Promise<Buffer | undefined> {
  try {
    const { done, value } = await pieces.next();
    if (done === true) return undefined;
    return value instanceof Uint8Array
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : Buffer.from(String(value));
  } catch (error) {
    throw new GcsFailure('source', { cause: error });
  }
}
