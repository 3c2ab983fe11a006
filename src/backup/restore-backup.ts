import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { diskFull } from '../backends/disk-full.ts';
import { withoutPlaces } from '../config/restored-config.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { hashJson } from '../core/json.ts';
import { type Layout, projectLayout } from '../core/layout.ts';
import { hashFile } from '../data/hash-file.ts';
import { hashOfKey } from '../data/object-keys.ts';
import { syncFolder, writeFileAtomic } from '../os/files.ts';
import { requireOwnDisk } from '../os/network-disk.ts';
import { settleRun } from '../runs/settle.ts';
import { checkDatabase, openDatabase } from '../store/database.ts';
import { disownRestored, nameOfContent } from '../store/restored.ts';
import { endRun } from '../store/run-events.ts';
import { removeTree, syncTree } from '../workspaces/moves.ts';
import { checkEntries } from './check-entries.ts';
import {
  ASIDE_FOLDER,
  type BackupManifest,
  CONFIG_COPY,
  DATABASE_FILE,
  OBJECTS_FOLDER,
  readManifest,
  VERSIONS_FOLDER,
} from './manifest.ts';
import { missingContent } from './missing-content.ts';

export type Restored = {
  root: string;
  createdAt: string;
  /** Runs that were open when the backup was made; they end as canceled here. */
  canceledRuns: number;
  objects: { needed: number; restored: number; lost: LostObject[] };
};

/** A stored object that the project names and the backup has not, or not as it was. */
export type LostObject = {
  hash: string;
  fault: 'missing' | 'damaged';
  /** What it was in the project, such as `report of stage-…`; null for a part of a folder. */
  was: string | null;
};

/**
 * Makes a project from a backup, in a folder without one. Everything is checked against the manifest and against the
 * database's own rules before the folder gets its state, by one rename. Nothing of the project that the backup was
 * made of is touched, and none of its runs goes on here: they would run twice.
 * Errors: INVALID_ARGUMENT (no backup, or damaged), CONFLICT (there is a project already), STORAGE_UNAVAILABLE.
 */
export async function restoreBackup(
  deps: { clock: Clock },
  request: { backup: string; into: string; objects?: string },
): Promise<Restored> {
  const backup = resolve(request.backup);
  const root = resolve(request.into);
  const manifest = await readManifest(backup);
  await checkEntries(backup, manifest);
  const layout = projectLayout(root);
  requireOwnDisk(layout.stateDir);
  const config = join(backup, CONFIG_COPY);
  const interrupted = await readMarker(layout, manifest);
  try {
    if (interrupted) return await becomeProject(layout, config, interrupted);
    await requireEmpty(root, layout.stateDir);
    return await makeProject(deps, { ...request, backup, manifest, layout, config });
  } catch (error) {
    throw diskFull(error, 'the project does not fit on it') ?? error;
  }
}

type Making = {
  backup: string;
  manifest: BackupManifest;
  layout: Layout;
  config: string;
  objects?: string;
};

async function makeProject(deps: { clock: Clock }, making: Making): Promise<Restored> {
  const { backup, manifest, layout, config } = making;
  const { root } = layout;
  const unfinished = `${layout.stateDir}.restoring`;
  await removeTree(unfinished);
  const place = projectLayout(root, unfinished);
  try {
    await mkdir(unfinished, { recursive: true, mode: 0o700 });
    await copyFile(join(backup, DATABASE_FILE), place.database);
    await copyTree(join(backup, VERSIONS_FOLDER), place.versionStore);
    await restoreAsides(manifest, { from: backup, to: place.asides });
    const canceledRuns = disown(place.database, { clock: deps.clock, createdAt: manifest.createdAt });
    const found = await restoreObjects(manifest, {
      from: making.objects ?? join(backup, OBJECTS_FOLDER),
      to: place.objects,
    });
    const objects = tellLost(place.database, manifest, found);
    const restored = { root, createdAt: manifest.createdAt, canceledRuns, objects };
    await writeFileAtomic(markerPath(unfinished), JSON.stringify({ manifest: hashJson(manifest), restored }));
    await syncTree(unfinished);
    await rename(unfinished, layout.stateDir);
    return await becomeProject(layout, config, restored);
  } finally {
    await removeTree(unfinished);
  }
}

/** The config comes last: with it the folder is a project, and must have its state. */
async function becomeProject(layout: Layout, config: string, restored: Restored): Promise<Restored> {
  await copyConfig(config, layout.config);
  await rm(markerPath(layout.stateDir), { force: true });
  await syncFolder(layout.root);
  return restored;
}

const markerPath = (stateDir: string): string => join(stateDir, 'restored.json');

/** What a restore of the same backup had done that was killed when only the config was missing. */
async function readMarker(layout: Layout, manifest: BackupManifest): Promise<Restored | undefined> {
  try {
    const marker = JSON.parse(await readFile(markerPath(layout.stateDir), 'utf8'));
    return marker.manifest === hashJson(manifest) ? marker.restored : undefined;
  } catch {
    return undefined;
  }
}

async function requireEmpty(root: string, stateDir: string): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const path of [stateDir, join(root, 'goldfish.yaml')]) {
    const found = await stat(path).catch(() => undefined);
    if (!found) continue;
    throw new GoldfishError('CONFLICT', {
      message: 'The folder holds a project already; a backup is restored beside it, never over it.',
      hint: 'Name a new folder with --into.',
      details: { field: 'into' },
    });
  }
}

/** Checks the copy of the database and makes it nobody's. Opening it brings an older schema up to date. */
function disown(file: string, parts: { clock: Clock; createdAt: string }): number {
  const db = openDatabase(file, { create: false });
  try {
    const problem = checkDatabase(db);
    if (problem !== null) {
      throw new GoldfishError('INVALID_ARGUMENT', {
        message: `The database in the backup is ${problem}.`,
        hint: 'Restore another backup; nothing was changed.',
        details: { field: 'backup' },
      });
    }
    const at = isoTime(parts.clock.now());
    return db.write(() => {
      const open = disownRestored(db, at);
      for (const runId of open) {
        const errorMessage = `Canceled: it was open when the backup of ${parts.createdAt} was made.`;
        endRun(db, { runId, cause: 'user', source: 'caller', at, patch: { errorMessage } });
        settleRun({ db, clock: parts.clock }, runId);
      }
      return open.length;
    });
  } finally {
    db.close();
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyTree(source, target);
    else await copyFile(source, target);
  }
}

/** What the manifest lists and nothing else. Folders get their permissions last: one may forbid to write in it. */
async function restoreAsides(
  manifest: BackupManifest,
  { from, to }: { from: string; to: string },
): Promise<void> {
  const target = (path: string): string => join(to, path.slice(ASIDE_FOLDER.length + 1));
  const makeFolder = (folder: string) => mkdir(folder, { recursive: true, mode: 0o700 });
  for (const { path } of manifest.folders) await makeFolder(target(path));
  for (const { path } of manifest.files) {
    if (!path.startsWith(`${ASIDE_FOLDER}/`)) continue;
    await makeFolder(dirname(target(path)));
    await copyFile(join(from, path), target(path));
  }
  for (const { path } of manifest.links) {
    await makeFolder(dirname(target(path)));
    await symlink(await readlink(join(from, path), { encoding: 'buffer' }), target(path));
  }
  for (const { path, mode } of manifest.folders.toReversed()) await chmod(target(path), mode);
}

/** Each object is taken only where its bytes are what its name says. */
async function restoreObjects(
  manifest: BackupManifest,
  place: { from: string; to: string },
): Promise<Objects> {
  let restored = 0;
  const lost: Objects['lost'] = [];
  for (const { key } of manifest.objects) {
    const source = join(place.from, key);
    const expected = hashOfKey(key);
    const found = expected === undefined ? undefined : await hashFile(source).catch(() => undefined);
    if (found === undefined || found.hash !== expected) {
      lost.push({ hash: expected ?? key, fault: found ? 'damaged' : 'missing' });
      continue;
    }
    const target = join(place.to, key);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await copyFile(source, target);
    restored += 1;
  }
  return { needed: manifest.objects.length, restored, lost };
}

type Objects = { needed: number; restored: number; lost: Omit<LostObject, 'was'>[] };

/** With what the project had lost itself by the time of the backup, which therefore does not list it. */
function tellLost(file: string, manifest: BackupManifest, found: Objects): Restored['objects'] {
  const db = openDatabase(file, { create: false });
  try {
    const unlisted = missingContent(db, manifest).map((hash) => ({ hash, fault: 'missing' as const }));
    const lost = [...found.lost, ...unlisted].map((one) => ({ ...one, was: nameOfContent(db, one.hash) }));
    return { needed: found.needed + unlisted.length, restored: found.restored, lost };
  } finally {
    db.close();
  }
}

/** Without the keys that name places: the copy has a state of its own. */
async function copyConfig(from: string, to: string): Promise<void> {
  try {
    await writeFileAtomic(to, withoutPlaces(await readFile(from, 'utf8')), 0o644);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
