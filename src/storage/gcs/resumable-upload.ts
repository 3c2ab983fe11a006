import { createCrc32c } from './crc32c.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { GcsFailure, isStatus } from './gcs-failure.ts';
import { type ObjectResource, objectResource, objectUrl, parseAnswer } from './object-resource.ts';
import { conditionQuery, type ObjectWrite, requireSum, stepOf } from './object-write.ts';
import type { Chunk } from './read-chunks.ts';
import { repeatRequest } from './repeat-request.ts';
import { type Attempt, type GcsAnswer, sendRequest } from './send-request.ts';

/** How far the service says it is: the object, or how many bytes it has. */
type Progress = { stored: ObjectResource } | { received: number };
type Piece = { start: number; bytes: Buffer; last: boolean; sum: string };

const CANCEL_LIMIT_MS = 5_000;

/**
 * A large body, piece by piece, in one session of the service. A piece that failed is gone on with where the service
 * says it is; the budget begins anew with each piece that it takes. What does not end is cancelled.
 * Errors: GcsFailure, `lost` where the service has forgotten the session.
 */
export async function uploadInPieces(
  bucket: GcsBucket,
  write: ObjectWrite,
  first: Chunk,
  more: AsyncIterable<Chunk>,
): Promise<ObjectResource> {
  const session = await startSession(bucket, write);
  const sum = createCrc32c();
  let start = 0;
  const upload = async ({ bytes, last }: Chunk): Promise<ObjectResource | undefined> => {
    sum.update(bytes);
    const piece = { start, bytes, last, sum: sum.value() };
    start += bytes.length;
    return uploadPiece(bucket, write, session, piece);
  };
  try {
    let stored = await upload(first);
    for await (const chunk of more) stored = await upload(chunk);
    if (!stored) throw new GcsFailure('lost');
    return await requireSum(bucket, write, stored, sum.value());
  } catch (error) {
    const limit = { limitMs: CANCEL_LIMIT_MS };
    await sendRequest(bucket, { method: 'DELETE', url: session }, limit).catch(() => undefined);
    throw error;
  }
}

/** Nothing is written yet, so it may be repeated; a session that nobody uses vanishes by itself. */
async function startSession(bucket: GcsBucket, write: ObjectWrite): Promise<string> {
  const request = {
    method: 'POST' as const,
    url: `/upload${objectUrl(bucket)}`,
    query: { uploadType: 'resumable', ...conditionQuery(write) },
    headers: { 'content-type': 'application/json', 'x-upload-content-type': write.wish.contentType },
    body: Buffer.from(JSON.stringify(write.wish)),
  };
  const step = write.signal ? { signal: write.signal } : {};
  const { headers } = await repeatRequest(bucket, step, (attempt) => sendRequest(bucket, request, attempt));
  const location = headers.get('location');
  if (location === null) throw new GcsFailure('lost');
  return location;
}

/** Until the service has all of the piece, and has the object after the last one. */
async function uploadPiece(
  bucket: GcsBucket,
  write: ObjectWrite,
  session: string,
  piece: Piece,
): Promise<ObjectResource | undefined> {
  const end = piece.start + piece.bytes.length;
  for (let at = piece.start; ; ) {
    const progress = await repeatRequest(bucket, stepOf(write), async (attempt) => {
      if (attempt.number > 1) {
        const known = await askProgress(bucket, session, attempt);
        if ('stored' in known) return known;
        at = positionIn(piece, known.received);
        if (at === end && !piece.last) return known;
      }
      const told = await sendRest(bucket, session, { piece, at }, attempt);
      if (!('stored' in told) && positionIn(piece, told.received) <= at) {
        throw new GcsFailure('network', { message: 'nothing of the piece was taken' });
      }
      return told;
    });
    if ('stored' in progress) return progress.stored;
    at = positionIn(piece, progress.received);
    if (at === end && !piece.last) return undefined;
  }
}

function positionIn({ start, bytes }: Piece, received: number): number {
  if (received < start || received > start + bytes.length) throw new GcsFailure('lost');
  return received;
}

async function sendRest(
  bucket: GcsBucket,
  session: string,
  { piece, at }: { piece: Piece; at: number },
  attempt: Attempt,
): Promise<Progress> {
  const rest = piece.bytes.subarray(at - piece.start);
  const total = piece.last ? String(at + rest.length) : '*';
  const range = rest.length === 0 ? '*' : `${at}-${at + rest.length - 1}`;
  // The service compares the sum of the whole object before it shows it to anybody.
  const hash = piece.last ? { 'x-goog-hash': `crc32c=${piece.sum}` } : {};
  const headers = { 'content-range': `bytes ${range}/${total}`, ...hash };
  return progressOf(await sendInSession(bucket, { session, headers, body: rest }, attempt));
}

async function askProgress(bucket: GcsBucket, session: string, attempt: Attempt): Promise<Progress> {
  const headers = { 'content-range': 'bytes */*' };
  return progressOf(await sendInSession(bucket, { session, headers, body: Buffer.alloc(0) }, attempt));
}

async function sendInSession(
  bucket: GcsBucket,
  { session, headers, body }: { session: string; headers: Record<string, string>; body: Buffer },
  attempt: Attempt,
): Promise<GcsAnswer> {
  try {
    return await sendRequest(bucket, { method: 'PUT', url: session, headers, body }, attempt);
  } catch (error) {
    if (isStatus(error, 404, 410)) throw new GcsFailure('lost', { cause: error });
    // The sum of the whole did not fit: what was taken before cannot be sent again.
    throw isStatus(error, 400) ? new GcsFailure('damaged', { cause: error }) : error;
  }
}

function progressOf({ status, headers, text }: GcsAnswer): Progress {
  if (status !== 308) return { stored: parseAnswer(objectResource, text) };
  const last = /^bytes=0-(\d+)$/.exec(headers.get('range') ?? '')?.[1];
  return { received: last === undefined ? 0 : Number(last) + 1 };
}
