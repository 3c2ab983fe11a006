import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { CallOptions, ObjectStat, ObjectStorage } from '../../storage/port.ts';

/**
 * Adds to a file of this machine what a rented one has sent of its own: pieces named by the first byte that each holds. How
 * far it came is the file's own length, so it may be interrupted anywhere. Returns the last key that
 * it needs no more, and how long the file is then.
 */
export async function pullPieces(
  bucket: ObjectStorage,
  { pieces, file }: { pieces: readonly ObjectStat[]; file: string },
  call: CallOptions,
): Promise<{ last: string | undefined; size: number }> {
  if (pieces.length === 0) return { last: undefined, size: 0 };
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'a', 0o600);
  let last: string | undefined;
  try {
    let { size } = await handle.stat();
    for (const piece of pieces) {
      const start = startOf(piece);
      // One before it is not there yet.
      if (start > size) break;
      if (start + piece.size > size) {
        const bytes = await buffer(await bucket.get(piece.key, call));
        const rest = bytes.subarray(size - start);
        await handle.appendFile(rest);
        // kill point: fetch/piece-appended
        size += rest.length;
      }
      last = piece.key;
    }
    return { last, size };
  } finally {
    await handle.close();
  }
}

/** All objects below a prefix and after a cursor, in the order of their keys. */
export async function listAll(
  bucket: ObjectStorage,
  { prefix, after }: { prefix: string; after?: string | undefined },
  call: CallOptions,
): Promise<ObjectStat[]> {
  const objects: ObjectStat[] = [];
  let cursor: string | null | undefined = after;
  do {
    const page: { objects: ObjectStat[]; nextCursor: string | null } = await bucket.list(prefix, {
      ...call,
      ...(cursor === undefined || cursor === null ? {} : { cursor }),
    });
    objects.push(...page.objects);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return objects;
}

function startOf({ key }: ObjectStat): number {
  return Number(key.slice(key.lastIndexOf('/') + 1));
}
