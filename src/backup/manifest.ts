import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf, GoldfishError } from '../core/errors.ts';

/** Written last: a folder without it is a backup that was cut short. */
const MANIFEST_FILE = 'manifest.json';
export const DATABASE_FILE = 'goldfish.db';
export const VERSIONS_FOLDER = 'versions.git';
export const ASIDE_FOLDER = 'aside';
export const OBJECTS_FOLDER = 'objects';
export const CONFIG_COPY = 'goldfish.yaml';
/** What a backup's folder is called until all of it is there: one that has this name is none. */
export const UNFINISHED = '.unfinished';

const fileSchema = z.strictObject({
  /** Relative to the backup, `/`-separated. */
  path: z.string().min(1),
  /** `sha256:<hex>` of the bytes. */
  hash: z.string(),
  /** Bytes. */
  size: z.number().nonnegative(),
});

const manifestSchema = z.strictObject({
  schema: z.literal(1),
  createdAt: z.string(),
  goldfishVersion: z.string(),
  projectName: z.string(),
  /** The store, the versions and the config. */
  files: z.array(fileSchema),
  /** Every stored object of the project: what a complete restore needs, in this backup or elsewhere. */
  objects: z.array(z.strictObject({ key: z.string(), size: z.number().nonnegative() })),
  /** Whether the objects' bytes are in this backup. */
  hasObjects: z.boolean(),
});

export type BackupManifest = z.output<typeof manifestSchema>;
export type BackupFile = z.output<typeof fileSchema>;

export function manifestPath(folder: string): string {
  return join(folder, MANIFEST_FILE);
}

/** Errors: INVALID_ARGUMENT where the folder is no backup, or one that was cut short or damaged. */
export async function readManifest(folder: string): Promise<BackupManifest> {
  try {
    return manifestSchema.parse(JSON.parse(await readFile(manifestPath(folder), 'utf8')));
  } catch (error) {
    const missing = ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '');
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: missing
        ? 'The folder holds no complete backup: its manifest is missing.'
        : 'The manifest of the backup cannot be read.',
      hint: 'Name a folder that `goldfish backup --list` shows.',
      details: { field: 'backup' },
      cause: error,
    });
  }
}
