import { createWriteStream } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { errnoOf, isGoldfishError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { hashFile } from '../../data/hash-file.ts';
import { syncFolder } from '../../os/files.ts';
import { isMissing } from '../../storage/object-errors.ts';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';
import { syncTree } from '../../workspaces/moves.ts';
import { pathExists } from '../attempt-files.ts';
import { removeTree } from '../materialise-inputs.ts';
import { readObject } from './pull-document.ts';
import { listAll } from './pull-tail.ts';

const CHECKPOINT = /^(\d{8,}-[a-zA-Z0-9][a-zA-Z0-9._-]{0,63})\/manifest\.json$/;
const filesSchema = z.looseObject({
  files: z.array(z.looseObject({ path: z.string().min(1), sha256: z.string() })),
});

/** What is known of a machine's checkpoints: those that are none, and those that were brought from there. */
export type KnownCheckpoints = { useless: Set<string>; brought: Set<string> };

/**
 * Brings the stage checkpoints that a machine has sent whole into the run's own folder, where its next attempt, `retry` and
 * backups look for them. A folder gets its name when all of it is there and is what its manifest says. What the stage has
 * removed in favour of a newer one, which is here, is removed here.
 */
export async function pullCheckpoints(
  bucket: ObjectStorage,
  { prefix, folder, known }: { prefix: string; folder: string; known: KnownCheckpoints },
  call: CallOptions,
): Promise<void> {
  const under = `${prefix}checkpoints/`;
  const keys = (await listAll(bucket, { prefix: under }, call)).map(({ key }) => key.slice(under.length));
  const ids = keys.flatMap((key) => CHECKPOINT.exec(key)?.[1] ?? []);
  for (const id of ids) {
    const to = join(folder, id);
    if (known.useless.has(id) || (await pathExists(to))) continue;
    const isHere = await pullOrRefuse(bucket, { from: `${under}${id}/`, to }, call);
    (isHere ? known.brought : known.useless).add(id);
  }
  const newest = ids.filter((id) => known.brought.has(id)).at(-1);
  for (const id of known.brought) {
    if (newest === undefined || id >= newest || ids.includes(id)) continue;
    await removeCheckpoint(join(folder, id));
    known.brought.delete(id);
  }
}

/** Whoever looks finds all of it, or nothing. */
async function removeCheckpoint(folder: string): Promise<void> {
  await removeTree(unfinished(folder));
  await rename(folder, unfinished(folder)).catch(ignoreMissing);
  await removeTree(unfinished(folder));
}

function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

/** False for one that is none: it must keep neither the others nor the result from coming. */
async function pullOrRefuse(
  bucket: ObjectStorage,
  place: { from: string; to: string },
  call: CallOptions,
): Promise<boolean> {
  try {
    return await pullOne(bucket, place, call);
  } catch (error) {
    const isPassing = isGoldfishError(error)
      ? error.code === 'STORAGE_UNAVAILABLE' && !isMissing(error)
      : !OF_THE_CHECKPOINT.includes(errnoOf(error) ?? '');
    if (isPassing) throw error;
    await removeTree(unfinished(place.to));
    return false;
  }
}

/** A path twice, one below a file, one that no file system takes. */
const OF_THE_CHECKPOINT = ['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'EILSEQ', 'EINVAL'];

function unfinished(to: string): string {
  return join(dirname(to), `.pulling-${basename(to)}`);
}

async function pullOne(
  bucket: ObjectStorage,
  { from, to }: { from: string; to: string },
  call: CallOptions,
): Promise<boolean> {
  const manifest = await readObject(bucket, `${from}manifest.json`, call);
  const files = manifest && filesSchema.safeParse(parseJson(manifest.toString('utf8'))).data?.files;
  if (manifest === undefined || files === undefined || !files.every(({ path }) => isInside(path)))
    return false;
  const temporary = unfinished(to);
  await removeTree(temporary);
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  for (const { path, sha256 } of files) {
    const file = join(temporary, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await pipeline(
      await bucket.get(from + path, call),
      createWriteStream(file, { flags: 'wx', mode: 0o600 }),
    );
    // Damaged there: the machine checked it before it sent it. The one before it counts.
    if ((await hashFile(file, call.signal)).hash !== `sha256:${sha256}`) {
      await removeTree(temporary);
      return false;
    }
  }
  const whole = createWriteStream(join(temporary, 'manifest.json'), { flags: 'wx', mode: 0o600 });
  await pipeline([manifest], whole);
  // kill point: fetch/checkpoint-gathered
  await syncTree(temporary);
  await rename(temporary, to);
  // kill point: fetch/checkpoint-named
  await syncFolder(dirname(to));
  return true;
}

function isInside(path: string): boolean {
  const parts = path.split('/');
  return parts.every((part) => part !== '' && part !== '.' && part !== '..') && path !== 'manifest.json';
}
