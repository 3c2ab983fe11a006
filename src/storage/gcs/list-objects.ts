import { z } from 'zod';
import { isKey } from '../object-key.ts';
import type { CallOptions, ObjectStat } from '../port.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { GcsFailure, isStatus } from './gcs-failure.ts';
import { objectResource, objectStat, objectUrl } from './object-resource.ts';
import { askService } from './repeat-request.ts';

const MAX_LIST = 1000;
const FIELDS = 'nextPageToken,items(name,size,generation,timeCreated,crc32c)';

const listAnswer = z.object({
  items: z.array(objectResource).default([]),
  nextPageToken: z.string().optional(),
});

/**
 * The cursor is the last key of a page, as in every storage: it holds however long it lies about and whatever is
 * deleted. The service begins a list at a name, not after it, so that key is asked for again and left out.
 */
export async function listObjects(
  bucket: GcsBucket,
  prefix: string,
  { cursor, limit = MAX_LIST, signal }: { cursor?: string; limit?: number } & CallOptions,
): Promise<{ objects: ObjectStat[]; nextCursor: string | null }> {
  signal?.throwIfAborted();
  const wanted = Math.min(MAX_LIST, Math.max(1, limit));
  // The service gives a thousand rows at most, one of which may be the key that is left out.
  const enough = Math.min(wanted, MAX_LIST - 1);
  const again = cursor === undefined || cursor === '' ? undefined : bucket.prefix + cursor;
  const objects: ObjectStat[] = [];
  let pageToken: string | undefined;
  do {
    const rows = wanted - objects.length + (again === undefined || pageToken !== undefined ? 0 : 1);
    const page = await listPage(bucket, {
      query: {
        prefix: bucket.prefix + prefix,
        startOffset: again,
        pageToken,
        maxResults: String(Math.min(rows, MAX_LIST)),
      },
      ...(signal ? { signal } : {}),
    });
    const found = page.items.filter(({ name }) => name !== again).map((item) => objectStat(bucket, item));
    // Others may have put there what no key can name, such as a folder's mark.
    objects.push(...found.filter(({ key }) => isKey(key)));
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined && objects.length < enough);
  const shown = objects.slice(0, wanted);
  const more = pageToken !== undefined || objects.length > wanted;
  return { objects: shown, nextCursor: more ? (shown.at(-1)?.key ?? null) : null };
}

async function listPage(
  bucket: GcsBucket,
  { query, signal }: { query: Record<string, string | undefined>; signal?: AbortSignal },
): Promise<z.infer<typeof listAnswer>> {
  const request = { method: 'GET' as const, url: objectUrl(bucket), query: { ...query, fields: FIELDS } };
  try {
    return await askService(bucket, signal ? { signal } : {}, request, listAnswer);
  } catch (error) {
    throw isStatus(error, 404) ? new GcsFailure('bucket', { cause: error }) : error;
  }
}
