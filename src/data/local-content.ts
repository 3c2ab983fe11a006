import { createWriteStream } from 'node:fs';
import { chmod, constants, copyFile, link, mkdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { parseFolderManifest } from '../core/folder-hash.ts';
import type { Ids } from '../core/ids.ts';
import type { Layout } from '../core/layout.ts';
import type { ObjectStorage } from '../storage/port.ts';
import { objectKey } from './object-keys.ts';
import { isIntact } from './verified-file.ts';

type Deps = { storage: ObjectStorage; layout: Layout; ids: Ids };
type Content = { hash: string; kind: 'file' | 'folder' };

/**
 * A path on this machine with exactly this content: the object itself, or a shared folder made from its manifest.
 * Read only: whoever hands it to a program copies or binds it. Safe when several processes make one folder at once.
 * Errors: INPUT_UNAVAILABLE where the content is gone.
 */
export async function localContent(deps: Deps, content: Content, signal?: AbortSignal): Promise<string> {
  if (content.kind === 'file') return localObject(deps, content.hash, signal);
  const target = deps.layout.folder(content.hash);
  if (await exists(target)) return target;
  const temporary = `${target}.${deps.ids.reference()}`;
  try {
    await fillFolder(deps, { hash: content.hash, into: temporary, ...(signal ? { signal } : {}) });
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (!(await exists(target))) throw error;
  }
  return target;
}

async function localObject(deps: Deps, hash: string, signal?: AbortSignal): Promise<string> {
  const key = objectKey(hash);
  const known = await deps.storage.stat(key, signal ? { signal } : {});
  if (!known) throw gone(hash);
  const path = deps.storage.localPath(key);
  if (path !== undefined) {
    if (!(await isIntact(path, hash, signal))) throw changed(hash);
    return path;
  }
  const cached = deps.layout.folder(hash);
  if (!(await exists(cached))) {
    const temporary = `${cached}.${deps.ids.reference()}`;
    await mkdir(dirname(cached), { recursive: true, mode: 0o700 });
    await pipeline(await deps.storage.get(key), createWriteStream(temporary, { mode: 0o444, flags: 'wx' }));
    await rename(temporary, cached);
  }
  return cached;
}

async function fillFolder(
  deps: Deps,
  fill: { hash: string; into: string; signal?: AbortSignal },
): Promise<void> {
  const key = objectKey(fill.hash);
  const known = await deps.storage.stat(key, fill.signal ? { signal: fill.signal } : {});
  if (!known) throw gone(fill.hash);
  const manifest = parseFolderManifest(await text(await deps.storage.get(key)));
  await mkdir(fill.into, { recursive: true, mode: 0o755 });
  for (const entry of manifest) {
    fill.signal?.throwIfAborted();
    const path = join(fill.into, entry.path);
    if (!path.startsWith(fill.into + sep)) throw new Error('a stored folder names a path outside of itself');
    if (entry.mode === '040000') {
      await mkdir(path, { recursive: true });
      continue;
    }
    await mkdir(dirname(path), { recursive: true });
    const source = await localObject(deps, entry.hash, fill.signal);
    if (entry.mode === '120000') await symlink(await readText(deps, entry.hash), path);
    else await placeFile(source, path, entry.mode === '100755');
  }
}

/** An executable gets a copy of its own: the mode belongs to the file, and the object must stay 0444. */
async function placeFile(source: string, path: string, executable: boolean): Promise<void> {
  if (!executable) {
    try {
      return await link(source, path);
    } catch (error) {
      if (!['EXDEV', 'EPERM', 'EMLINK'].includes(errnoOf(error) ?? '')) throw error;
    }
  }
  await copyFile(source, path, constants.COPYFILE_FICLONE);
  await chmod(path, executable ? 0o555 : 0o444);
}

async function readText(deps: Deps, hash: string): Promise<string> {
  return text(await deps.storage.get(objectKey(hash)));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function changed(hash: string): GoldfishError {
  return new GoldfishError('INPUT_UNAVAILABLE', {
    message: 'Stored content of an input is not what it was when it was stored.',
    hint: 'Run the producing stage again with use_cache: false, and look at the disk.',
    details: { hash },
  });
}

function gone(hash: string): GoldfishError {
  return new GoldfishError('INPUT_UNAVAILABLE', {
    message: 'Stored content of an input is no longer there.',
    hint: 'Run the producing stage again with use_cache: false.',
    details: { hash },
  });
}
