import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { diskFull } from '../backends/disk-full.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import type { Ids } from '../core/ids.ts';
import type { Layout } from '../core/layout.ts';
import { hashFile } from '../data/hash-file.ts';
import { OBJECTS_PREFIX } from '../data/object-keys.ts';
import { syncFolder, writeFileAtomic } from '../os/files.ts';
import type { ObjectStorage } from '../storage/port.ts';
import type { Db } from '../store/database.ts';
import { withLock } from '../store/lock.ts';
import { nameOfContent } from '../store/restored.ts';
import { removeTree, syncTree } from '../workspaces/moves.ts';
import { copyAsides } from './copy-asides.ts';
import { entriesBelow, unlessMissing } from './entries.ts';
import {
  ASIDE_FOLDER,
  type BackupManifest,
  CONFIG_COPY,
  DATABASE_FILE,
  MANIFEST_SCHEMA,
  manifestPath,
  OBJECTS_FOLDER,
  UNFINISHED,
  VERSIONS_FOLDER,
} from './manifest.ts';
import { missingContent } from './missing-content.ts';

export type BackupDeps = {
  db: Db;
  clock: Clock;
  ids: Ids;
  layout: Layout;
  storage: ObjectStorage;
  projectName: string;
  goldfishVersion: string;
};

export type Backup = {
  folder: string;
  manifest: BackupManifest;
  /** Stored content that the project names and its storage has lost, so that no backup can have it. */
  missing: { hash: string; was: string | null }[];
};

/**
 * A backup of a project in use, as a folder of its own below `into`. The order makes it whole: first the database as
 * of one moment, then the versions and objects, which are only ever added before the rows that name them. What is not
 * finished has no manifest and is removed by the next backup. Ignored files are in it of workspaces that are hibernated
 * all the while. Not in it: edits that no version has, logs and checkpoints of stages.
 * Errors: STORAGE_UNAVAILABLE, CONFLICT (another backup, or one that cannot come to rest).
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
    const namedBefore = new Set(missingContent(deps.db, { objects: [] }));
    await deps.db.backup(join(unfinished, DATABASE_FILE));
    await copyIfThere(deps.layout.config, join(unfinished, CONFIG_COPY));
    await copyVersions(deps.layout.versionStore, join(unfinished, VERSIONS_FOLDER));
    const { signal } = request;
    await copyAsides(deps, { to: join(unfinished, ASIDE_FOLDER), ...(signal ? { signal } : {}) });
    const entries = await listEntries(unfinished);
    const objects = await copyObjects(deps, { ...request, folder: unfinished });
    const manifest: BackupManifest = {
      schema: MANIFEST_SCHEMA,
      createdAt,
      goldfishVersion: deps.goldfishVersion,
      projectName: deps.projectName,
      ...entries,
      objects,
      hasObjects: request.withObjects,
    };
    await writeFileAtomic(manifestPath(unfinished), JSON.stringify(manifest));
    await syncTree(unfinished);
    await rename(unfinished, folder);
    await syncFolder(request.into);
    // What a row named before and names still was stored all the while.
    const missing = missingContent(deps.db, manifest)
      .filter((hash) => namedBefore.has(hash))
      .map((hash) => ({ hash, was: nameOfContent(deps.db, hash) }));
    return { folder, manifest, missing };
  } catch (error) {
    throw diskFull(error, 'the backup does not fit on it') ?? error;
  } finally {
    await removeTree(unfinished);
  }
}

/** What a backup left that was killed. Called while no other backup is at work. */
async function removeUnfinished(into: string): Promise<void> {
  for (const entry of await readdir(into)) {
    if (entry.endsWith(UNFINISHED)) await removeTree(join(into, entry));
  }
}

async function copyIfThere(from: string, to: string): Promise<void> {
  await copyFile(from, to).catch(unlessMissing(undefined));
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

async function listEntries(folder: string): Promise<Pick<BackupManifest, 'files' | 'links' | 'folders'>> {
  const all = await entriesBelow(folder, '');
  const files: BackupManifest['files'] = [];
  for (const path of all.files.sort()) files.push({ path, ...(await hashFile(join(folder, path))) });
  const { links, folders } = await entriesBelow(folder, ASIDE_FOLDER);
  return { files, links, folders };
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
