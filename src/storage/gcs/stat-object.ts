import type { GcsBucket } from './gcs-bucket.ts';
import { GcsFailure, isStatus } from './gcs-failure.ts';
import { type ObjectResource, objectResource, objectUrl } from './object-resource.ts';
import { askService, repeatRequest } from './repeat-request.ts';
import { sendRequest } from './send-request.ts';

/** Undefined where the bucket has no such object. Errors: GcsFailure. */
export async function findObject(
  bucket: GcsBucket,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectResource | undefined> {
  const request = { method: 'GET' as const, url: objectUrl(bucket, key) };
  const step = signal ? { signal } : {};
  try {
    return await askService(bucket, step, request, objectResource);
  } catch (error) {
    if (await isAbsent(bucket, error, signal)) return undefined;
    throw error;
  }
}

/**
 * Whether an error says that the object is not there. The service gives the same answer where there is no bucket, so
 * that is looked at once. Errors: GcsFailure `bucket`.
 */
export async function isAbsent(
  bucket: GcsBucket,
  error: unknown,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (!isStatus(error, 404)) return false;
  if (bucket.seen) return true;
  const request = {
    method: 'GET' as const,
    url: objectUrl(bucket),
    query: { maxResults: '1', fields: 'kind' },
  };
  const step = signal ? { signal } : {};
  try {
    await repeatRequest(bucket, step, (attempt) => sendRequest(bucket, request, attempt));
  } catch (refusal) {
    if (isStatus(refusal, 404)) throw new GcsFailure('bucket', { cause: refusal });
    // Who may read objects and not list them learns no more than that this one is not there.
    if (!isStatus(refusal, 401, 403)) throw refusal;
  }
  return true;
}
