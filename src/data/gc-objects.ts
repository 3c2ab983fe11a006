import { text } from 'node:stream/consumers';
import { isoTime } from '../core/clock.ts';
import { isGoldfishError } from '../core/errors.ts';
import { parseFolderManifest } from '../core/folder-hash.ts';
import type { ObjectStat } from '../storage/port.ts';
import { neededContent } from '../store/garbage.ts';
import type { Candidate, GcDeps } from './gc-candidate.ts';
import { hashOfKey, OBJECTS_PREFIX, objectKey, UNNAMED_GRACE_MS } from './object-keys.ts';

/**
 * Stored content that no row speaks for, a day after it was last stored: rows come after what they name. An object
 * that is stored again meanwhile has another generation, and is kept by that.
 * Throws where a folder's list of files cannot be read: nobody can say then what is needed.
 */
export async function objectCandidates(deps: GcDeps, signal?: AbortSignal): Promise<Candidate[]> {
  const now = deps.clock.now();
  const old: ObjectStat[] = [];
  const call = signal ? { signal } : {};
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await deps.storage.list(OBJECTS_PREFIX, {
      ...call,
      ...(cursor === undefined ? {} : { cursor }),
    });
    old.push(...page.objects.filter((object) => now - Date.parse(object.updatedAt) >= UNNAMED_GRACE_MS));
    cursor = page.nextCursor;
  }
  if (old.length === 0) return [];
  const needed = await neededHashes(deps, signal);
  return old.flatMap((object) => {
    const hash = hashOfKey(object.key);
    // What is not ours is not ours to remove.
    if (hash === undefined || needed.has(hash)) return [];
    return [toCandidate(deps, object)];
  });
}

function toCandidate(deps: GcDeps, object: ObjectStat): Candidate {
  return {
    kind: 'objects',
    what: `content ${object.key.slice(-64, -52)}`,
    bytes: object.size,
    lastUsed: Date.parse(object.updatedAt),
    due: true,
    free: async () => {
      try {
        await deps.storage.delete(object.key, { ifGeneration: object.generation });
        return true;
      } catch (error) {
        if (isGoldfishError(error) && error.code === 'CONFLICT') return false;
        throw error;
      }
    },
  };
}

/** With the files of needed folders. */
async function neededHashes(deps: GcDeps, signal: AbortSignal | undefined): Promise<Set<string>> {
  const deletedAfter = isoTime(deps.clock.now() - UNNAMED_GRACE_MS);
  const content = neededContent(deps.db, deletedAfter);
  const needed = new Set(content.map(({ hash }) => hash));
  for (const { hash, kind } of content) {
    signal?.throwIfAborted();
    if (kind !== 'folder') continue;
    for (const entry of await manifestOf(deps, hash)) needed.add(entry.hash);
  }
  return needed;
}

async function manifestOf(deps: GcDeps, hash: string): Promise<readonly { hash: string }[]> {
  try {
    return parseFolderManifest(await text(await deps.storage.get(objectKey(hash))));
  } catch (error) {
    // A folder that is lost as such has no files any more.
    if (isGoldfishError(error) && error.details['missing'] === true) return [];
    throw error;
  }
}
