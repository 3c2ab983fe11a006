import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import { type BackupManifest, readManifest, UNFINISHED } from './manifest.ts';

export type BackupSummary = {
  name: string;
  createdAt: string;
  /** Bytes in the backup. */
  size: number;
  objects: number;
  hasObjects: boolean;
};

/** What it takes on the disk. */
export function backupSize({ files, objects, hasObjects }: BackupManifest): number {
  return [...files, ...(hasObjects ? objects : [])].reduce((sum, { size }) => sum + size, 0);
}

/** Newest first. What is no complete backup is left out. */
export async function listBackups(into: string): Promise<BackupSummary[]> {
  const names = await readdir(into).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  const found: BackupSummary[] = [];
  for (const name of names) {
    if (name.endsWith(UNFINISHED)) continue;
    const manifest = await readManifest(join(into, name)).catch(() => undefined);
    if (!manifest) continue;
    const { createdAt, objects, hasObjects } = manifest;
    found.push({ name, createdAt, size: backupSize(manifest), objects: objects.length, hasObjects });
  }
  return found.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}
