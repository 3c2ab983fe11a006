import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import { readManifest } from './manifest.ts';

export type BackupSummary = {
  name: string;
  createdAt: string;
  /** Bytes in the backup. */
  size: number;
  objects: number;
  hasObjects: boolean;
};

/** Newest first. What is no complete backup is left out. */
export async function listBackups(into: string): Promise<BackupSummary[]> {
  const names = await readdir(into).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  const found: BackupSummary[] = [];
  for (const name of names) {
    const manifest = await readManifest(join(into, name)).catch(() => undefined);
    if (!manifest) continue;
    const { createdAt, files, objects, hasObjects } = manifest;
    const own = files.reduce((sum, file) => sum + file.size, 0);
    const stored = hasObjects ? objects.reduce((sum, object) => sum + object.size, 0) : 0;
    found.push({ name, createdAt, size: own + stored, objects: objects.length, hasObjects });
  }
  return found.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}
