import { randomBytes } from 'node:crypto';
import { conditionFailed } from '../object-errors.ts';
import { type CallOptions, expectedGeneration, type ObjectStat, type WriteCondition } from '../port.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { GcsFailure, isStatus } from './gcs-failure.ts';
import { type ObjectResource, objectStat, objectUrl } from './object-resource.ts';
import { repeatRequest } from './repeat-request.ts';
import { sendRequest } from './send-request.ts';
import { findObject } from './stat-object.ts';

/** Metadata that says which write made an object: one that was sent twice knows its own work by it. */
const WRITE_KEY = 'goldfish-write';
export const CONTENT_TYPE = 'application/octet-stream';

/** One write of one key, whatever becomes of its attempts. */
export type ObjectWrite = {
  key: string;
  /** The generation that must be there, '0' for none. */
  expected: string | undefined;
  /** What the object is to be called and to say of itself. */
  wish: { name: string; contentType: string; metadata: Record<string, string> };
  signal?: AbortSignal;
  /** True once an attempt has ended that may have been done all the same. */
  unsure: boolean;
};

export function beginWrite(bucket: GcsBucket, key: string, call: WriteCondition & CallOptions): ObjectWrite {
  const expected = expectedGeneration(call);
  // What is no generation here, one of another storage perhaps, is one that is gone.
  if (expected !== undefined && !/^\d{1,19}$/.test(expected)) throw conditionFailed(key, expected);
  call.signal?.throwIfAborted();
  const metadata = { [WRITE_KEY]: randomBytes(12).toString('hex') };
  const wish = { name: bucket.prefix + key, contentType: CONTENT_TYPE, metadata };
  return { key, expected, wish, unsure: false, ...(call.signal ? { signal: call.signal } : {}) };
}

export const conditionQuery = (write: ObjectWrite): Record<string, string | undefined> => ({
  ifGenerationMatch: write.expected,
});

/** What `repeatRequest` is to know of a write. */
export function stepOf(write: ObjectWrite): { signal?: AbortSignal; onFailure: () => void } {
  const onFailure = (): void => {
    write.unsure = true;
  };
  return { onFailure, ...(write.signal ? { signal: write.signal } : {}) };
}

/**
 * Does a write whose attempts may have been done though they failed: where the service then refuses because somebody
 * has written, it is asked whether that was this very write. Errors: CONFLICT; GcsFailure.
 */
export async function settleWrite(
  bucket: GcsBucket,
  write: ObjectWrite,
  work: () => Promise<ObjectResource>,
): Promise<ObjectStat> {
  try {
    return objectStat(bucket, await work());
  } catch (error) {
    const refused = isStatus(error, 412);
    const gone = error instanceof GcsFailure && error.kind === 'lost';
    if (write.unsure && (refused || gone)) {
      const found = await findObject(bucket, write.key, write.signal);
      if (found && found.metadata?.[WRITE_KEY] === write.wish.metadata[WRITE_KEY])
        return objectStat(bucket, found);
    }
    throw refused ? conditionFailed(write.key, write.expected ?? '0') : error;
  }
}

/**
 * What was stored is what was sent. Otherwise it is taken away again, if nobody has written since: the client's own
 * check would take away whatever is there. Errors: GcsFailure `damaged`.
 */
export async function requireSum(
  bucket: GcsBucket,
  write: ObjectWrite,
  stored: ObjectResource,
  sum: string,
): Promise<ObjectResource> {
  if (stored.crc32c === undefined || stored.crc32c === sum) return stored;
  const query = { ifGenerationMatch: stored.generation };
  await repeatRequest(bucket, stepOf(write), (attempt) =>
    sendRequest(bucket, { method: 'DELETE', url: objectUrl(bucket, write.key), query }, attempt),
  ).catch(() => undefined);
  throw new GcsFailure('damaged');
}
