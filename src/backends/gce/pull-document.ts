import { buffer } from 'node:stream/consumers';
import { writeFileAtomic } from '../../os/files.ts';
import { isMissing } from '../../storage/object-errors.ts';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';

/** What a machine tells of itself is short. */
const MOST_BYTES = 64 * 1024;

/**
 * Writes a small object to a file whenever it is another one than the last time, so that the file's time is when it was
 * noticed here. Returns the generation that the file has; undefined where there is none.
 */
export async function pullDocument(
  bucket: ObjectStorage,
  { key, file, known }: { key: string; file: string; known: string | undefined },
  call: CallOptions,
): Promise<string | undefined> {
  const stat = await bucket.stat(key, call);
  if (stat === undefined || stat.generation === known || stat.size > MOST_BYTES) return stat?.generation;
  const content = await readObject(bucket, key, call);
  if (content === undefined) return known;
  await writeFileAtomic(file, content);
  return stat.generation;
}

/** Undefined where it is not there. */
export async function readObject(
  bucket: ObjectStorage,
  key: string,
  call: CallOptions,
): Promise<Buffer | undefined> {
  try {
    return await buffer(await bucket.get(key, call));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
