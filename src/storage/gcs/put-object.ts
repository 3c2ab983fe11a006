import { randomBytes } from 'node:crypto';
import type { CallOptions, ObjectStat, WriteCondition } from '../port.ts';
import { createCrc32c } from './crc32c.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { GcsFailure, isStatus } from './gcs-failure.ts';
import { type ObjectResource, objectResource, objectUrl, parseAnswer } from './object-resource.ts';
import {
  beginWrite,
  CONTENT_TYPE,
  conditionQuery,
  type ObjectWrite,
  requireSum,
  settleWrite,
  stepOf,
} from './object-write.ts';
import { type Body, readChunks } from './read-chunks.ts';
import { repeatRequest } from './repeat-request.ts';
import { uploadInPieces } from './resumable-upload.ts';
import { sendRequest } from './send-request.ts';

/** The service refuses bytes that arrived as others; the same status may mean that it does not want them at all. */
const MOST_REFUSALS = 2;

/** A body that fits into one chunk goes in one request, which can be repeated whole; a larger one in pieces. */
export async function putObject(
  bucket: GcsBucket,
  request: { key: string; body: Body; call: WriteCondition & CallOptions },
): Promise<ObjectStat> {
  const write = beginWrite(bucket, request.key, request.call);
  const signal = write.signal ? { signal: write.signal } : {};
  const chunks = readChunks(request.body, { size: bucket.chunkBytes, ...signal });
  try {
    const { value: first } = await chunks.next();
    if (!first) throw new GcsFailure('source');
    if (!first.last)
      return await settleWrite(bucket, write, () => uploadInPieces(bucket, write, first, chunks));
    return await settleWrite(bucket, write, () => uploadWhole(bucket, write, first.bytes));
  } catch (error) {
    // Where an object is written, only its bucket can be missing.
    throw isStatus(error, 404) ? new GcsFailure('bucket', { cause: error }) : error;
  } finally {
    await chunks.return();
  }
}

async function uploadWhole(bucket: GcsBucket, write: ObjectWrite, bytes: Buffer): Promise<ObjectResource> {
  const sum = createCrc32c();
  sum.update(bytes);
  const boundary = randomBytes(16).toString('hex');
  const about = JSON.stringify({ ...write.wish, crc32c: sum.value() });
  const body = Buffer.concat([
    Buffer.from(`--${boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n${about}\r\n`),
    Buffer.from(`--${boundary}\r\nContent-Type: ${CONTENT_TYPE}\r\n\r\n`),
    bytes,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  const request = {
    method: 'POST' as const,
    url: `/upload${objectUrl(bucket)}`,
    query: { uploadType: 'multipart', ...conditionQuery(write) },
    headers: { 'content-type': `multipart/related; boundary=${boundary}` },
    body,
  };
  const stored = await repeatRequest(bucket, stepOf(write), async (attempt) => {
    const { text } = await sendRequest(bucket, request, attempt).catch((error: unknown) => {
      const again = isStatus(error, 400) && attempt.number <= MOST_REFUSALS;
      throw again ? new GcsFailure('network', { cause: error }) : error;
    });
    return parseAnswer(objectResource, text);
  });
  return requireSum(bucket, write, stored, sum.value());
}
