import { createWriteStream } from 'node:fs';
import { copyFile, cp, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { diskFull } from '../backends/disk-full.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import { errnoOf } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import type { Layout } from '../core/layout.ts';
import { hashFile } from '../data/hash-file.ts';
import { OBJECTS_PREFIX } from '../data/object-keys.ts';
import { syncFolder, writeFileAtomic } from '../os/files.ts';
import type { ObjectStorage } from '../storage/port.ts';
import type { Db } from '../store/database.ts';
import { withLock } from '../store/lock.ts';
import { syncTree } from '../workspaces/moves.ts';
import {
  ASIDE_FOLDER,
  type BackupFile,
  type BackupManifest,
  CONFIG_COPY,
  DATABASE_FILE,
  manifestPath,
  OBJECTS_FOLDER,
  UNFINISHED,
  VERSIONS_FOLDER,
} from './manifest.ts';

export type BackupDeps = {
  db: Db;
  clock: Clock;
  ids: Ids;
  layout: Layout;
  storage: ObjectStorage;
  projectName: string;
  goldfishVersion: string;
};

export type Backup = { folder: string; manifest: BackupManifest };

/**
 * A backup of a project in use, as a folder of its own below `into`. The order makes it whole: first the database as
 * of one moment, then the versions and objects, which are only ever added before the rows that name them. What is not
 * finished has no manifest and is removed by the next backup. Not in it: edits that no version has, logs and
 * checkpoints of stages.
 * Errors: STORAGE_UNAVAILABLE.
 */
export async function createBackup(
  deps: BackupDeps,
  request: { into: string; withObjects: boolean; signal?: AbortSignal },
): Promise<Backup> {
  const createdAt = isoTime(deps.clock.now());
  const name = `${createdAt.replaceAll(/[-:]|\.\d+/g, '')}-${deps.ids.reference()}`;
  const folder = join(request.into, name);
  await mkdir(request.into, { recursive: true, mode: 0o700 });
  const waiting = {
    clock: deps.clock,
    what: 'the backups',
    ...(request.signal ? { signal: request.signal } : {}),
  };
  return withLock(join(request.into, 'backup.lock'), waiting, async () => {
    await removeUnfinished(request.into);
    return writeBackup(deps, { ...request, folder, createdAt });
  });
}

type Writing = {
  into: string;
  withObjects: boolean;
  folder: string;
  createdAt: string;
  signal?: AbortSignal;
};

async function writeBackup(deps: BackupDeps, request: Writing): Promise<Backup> {
  const { folder, createdAt } = request;
  const unfinished = `${folder}${UNFINISHED}`;
  try {
    await mkdir(unfinished, { mode: 0o700 });
    await deps.db.backup(join(unfinished, DATABASE_FILE));
    await copyIfThere(deps.layout.config, join(unfinished, CONFIG_COPY));
    await copyVersions(deps.layout.versionStore, join(unfinished, VERSIONS_FOLDER));
    await copyAsides(deps.layout.asides, join(unfinished, ASIDE_FOLDER));
    const files = await listFiles(unfinished);
    const objects = await copyObjects(deps, { ...request, folder: unfinished });
    const manifest: BackupManifest = {
      schema: 1,
      createdAt,
      goldfishVersion: deps.goldfishVersion,
      projectName: deps.projectName,
      files,
      objects,
      hasObjects: request.withObjects,
    };
    await writeFileAtomic(manifestPath(unfinished), JSON.stringify(manifest));
    await syncTree(unfinished);
    await rename(unfinished, folder);
    await syncFolder(request.into);
    return { folder, manifest };
  } catch (error) {
    throw diskFull(error, 'the backup does not fit on it') ?? error;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** What a backup left that was killed. Called while no other backup is at work. */
async function removeUnfinished(into: string): Promise<void> {
  for (const entry of await readdir(into)) {
    if (entry.endsWith(UNFINISHED)) await rm(join(into, entry), { recursive: true, force: true });
  }
}

async function copyIfThere(from: string, to: string): Promise<void> {
  await copyFile(from, to).catch(unlessMissing(undefined));
}

/**
 * Ignored files of hibernated workspaces: they are nowhere else. A mount that takes those of one workspace back
 * meanwhile must not keep the others out.
 */
async function copyAsides(from: string, to: string): Promise<void> {
  const workspaces = await readdir(from).catch(unlessMissing([]));
  for (const name of workspaces) {
    const options = { recursive: true, verbatimSymlinks: true };
    await cp(join(from, name), join(to, name), options).catch(unlessMissing(undefined));
  }
}

/** What is not there is no failure: this stands for it. */
function unlessMissing<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (errnoOf(error) === 'ENOENT') return instead;
    throw error;
  };
}

/** References first: what they point to was there by then, and is copied after them. */
async function copyVersions(from: string, to: string): Promise<void> {
  await copyTree(from, to, ['objects']);
  await copyTree(join(from, 'objects'), join(to, 'objects'));
}

/** Files that vanish meanwhile (locks, temporary names) are none of the store's content. */
async function copyTree(from: string, to: string, except: readonly string[] = []): Promise<void> {
  const entries = await readdir(from, { withFileTypes: true }).catch(unlessMissing([]));
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const entry of entries) {
    if (entry.name.endsWith('.lock') || except.includes(entry.name)) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyTree(source, target);
    else if (entry.isFile()) await copyIfThere(source, target);
  }
}

async function listFiles(folder: string): Promise<BackupFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: BackupFile[] = [];
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { hash, size } = await hashFile(path);
    files.push({ path: path.slice(folder.length + 1), hash, size });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function copyObjects(
  deps: BackupDeps,
  request: { folder: string; withObjects: boolean; signal?: AbortSignal },
): Promise<BackupManifest['objects']> {
  const objects: BackupManifest['objects'] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await deps.storage.list(OBJECTS_PREFIX, cursor === undefined ? {} : { cursor });
    for (const { key, size } of page.objects) {
      request.signal?.throwIfAborted();
      const to = join(request.folder, OBJECTS_FOLDER, key);
      if (!request.withObjects || (await copyObject(deps.storage, key, to))) objects.push({ key, size });
    }
    if (page.nextCursor === null) return objects;
    cursor = page.nextCursor;
  }
}

/** False where it is gone since it was listed: gc takes only what no row names. */
async function copyObject(storage: ObjectStorage, key: string, to: string): Promise<boolean> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  const local = storage.localPath(key);
  if (local !== undefined) return copyFile(local, to).then(() => true, unlessMissing(false));
  await pipeline(await storage.get(key), createWriteStream(to, { mode: 0o400, flags: 'wx' }));
  return true;
}
