import { lstat } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { isGoldfishError } from '../../core/errors.ts';
import { hashFile } from '../../data/hash-file.ts';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';

/** An object of the bucket whose content is known, as documents name it. */
export type StoredObject = { object: string; sha256: string; size: number };

/** A rule of the bucket may remove what is old: what is used again after so long is written anew there. */
const RENEW_AFTER_MS = 24 * 60 * 60 * 1000;

type Storing = { bucket: ObjectStorage; clock: Clock };

/** Puts a file into the bucket by its content; what is there already is not sent again. `sha256`: where it is known. */
export async function storeFile(
  { bucket, clock }: Storing,
  { file, sha256 }: { file: string; sha256?: string },
  call: CallOptions,
): Promise<StoredObject> {
  const known = sha256 === undefined ? await hashFile(file, call.signal) : undefined;
  const hash = sha256 ?? known?.hash.replace('sha256:', '') ?? '';
  const size = known?.size ?? (await lstat(file)).size;
  const object = `objects/${hash}`;
  const found = await bucket.stat(object, call);
  if (found?.size === size) {
    if (clock.now() - Date.parse(found.updatedAt) > RENEW_AFTER_MS) await bucket.copy(object, object, call);
  } else {
    await putOnce(bucket, { key: object, body: { file } }, call);
  }
  return { object, sha256: hash, size };
}

/** False where the key is there already. */
export async function putOnce(
  bucket: ObjectStorage,
  { key, body }: { key: string; body: Uint8Array | { file: string } },
  call: CallOptions,
): Promise<boolean> {
  try {
    await bucket.put(key, body, { ...call, createOnly: true });
    return true;
  } catch (error) {
    if (isGoldfishError(error) && error.code === 'CONFLICT') return false;
    throw error;
  }
}
