import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { errnoOf, isGoldfishError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { hashFile } from '../../data/hash-file.ts';
import { syncFolder } from '../../os/files.ts';
import { isMissing } from '../../storage/object-errors.ts';
import type { CallOptions, ObjectStat, ObjectStorage } from '../../storage/port.ts';
import { syncTree } from '../../workspaces/moves.ts';
import { removeTree } from '../materialise-inputs.ts';
import { readObject } from './pull-document.ts';
import { listAll } from './pull-tail.ts';
import type { Room } from './room.ts';

const CHECKPOINT = /^(\d{8,})-([a-zA-Z0-9][a-zA-Z0-9._-]{0,63})$/;
/** Before the id of one that its stage has removed, as REMOVED of runtime/worker/worker_checkpoints.py has it. */
const REMOVED = '.removed-';
/** Before the id of one that is not whole here: it is fetched, or goes. */
const UNFINISHED = '.pulling-';
const filesSchema = z.looseObject({
  files: z.array(z.looseObject({ path: z.string().min(1), sha256: z.string() })),
});

type Pulling = { prefix: string; folder: string; useless: Set<string>; room: Room };

/**
 * Brings the stage checkpoints that a machine has sent whole into the run's own folder, where its next attempt, `retry` and
 * backups look for them. A folder gets its name when all of it is there and is what its manifest says. The newest comes
 * first; one that the stage has removed since does not come, and goes from here as soon as a newer one of its name is here.
 * Returns why the next one waits, where it has no room.
 */
export async function pullCheckpoints(
  bucket: ObjectStorage,
  { prefix, folder, useless, room }: Pulling,
  call: CallOptions,
): Promise<string | undefined> {
  const under = `${prefix}checkpoints/`;
  const { sizes, removed } = sort(under, await listAll(bucket, { prefix: under }, call));
  const here = new Set(await wholeIn(folder));
  let waits: string | undefined;
  for (const [id, size] of [...sizes].sort(([a], [b]) => numberOf(b) - numberOf(a))) {
    if (removed.has(id) || useless.has(id) || here.has(id)) continue;
    waits = room(size);
    if (waits !== undefined) break;
    const isHere = await pullOrRefuse(bucket, { from: `${under}${id}/`, to: join(folder, id) }, call);
    (isHere ? here : useless).add(id);
  }
  for (const id of removed) await followRemoval(folder, { id, here, removed });
  return waits;
}

/** The bytes of each whole one, and which ones are removed. */
function sort(under: string, objects: readonly ObjectStat[]) {
  const sizes = new Map<string, number>();
  const removed = new Set<string>();
  for (const { key } of objects) {
    const [id = '', ...path] = key.slice(under.length).split('/');
    if (CHECKPOINT.test(id) && path.join('/') === 'manifest.json') sizes.set(id, 0);
    const gone = id.startsWith(REMOVED) && path.length === 0 ? id.slice(REMOVED.length) : '';
    if (CHECKPOINT.test(gone)) removed.add(gone);
  }
  for (const { key, size } of objects) {
    const [id = ''] = key.slice(under.length).split('/');
    const before = sizes.get(id);
    if (before !== undefined) sizes.set(id, before + size);
  }
  return { sizes, removed };
}

function numberOf(id: string): number {
  return Number(CHECKPOINT.exec(id)?.[1] ?? 0);
}

/** Never the newest of its name: what comes from a machine may be wrong, and a run must have something to go on from. */
async function followRemoval(
  folder: string,
  { id, here, removed }: { id: string; here: ReadonlySet<string>; removed: ReadonlySet<string> },
): Promise<void> {
  if (!here.has(id)) return;
  const name = CHECKPOINT.exec(id)?.[2];
  const isReplaced = [...here].some(
    (other) => CHECKPOINT.exec(other)?.[2] === name && numberOf(other) > numberOf(id) && !removed.has(other),
  );
  if (!isReplaced) return;
  const going = unfinished(join(folder, id));
  // Whole or not there, for whoever looks meanwhile.
  await rename(join(folder, id), going);
  await removeTree(going);
}

/** The ids of those that are here. What a death left in the middle is removed: nothing else is being fetched. */
async function wholeIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown): string[] => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) if (name.startsWith(UNFINISHED)) await removeTree(join(folder, name));
  return names.filter((name) => CHECKPOINT.test(name));
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
    // It takes room until it is tried again.
    await removeTree(unfinished(place.to));
    if (isPassing) throw error;
    return false;
  }
}

/** A path twice, one below a file, one that no file system takes. */
const OF_THE_CHECKPOINT = ['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'EILSEQ', 'EINVAL'];

function unfinished(to: string): string {
  return join(dirname(to), `${UNFINISHED}${basename(to)}`);
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
