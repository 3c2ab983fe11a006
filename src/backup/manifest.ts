import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { entriesBelow } from './entries.ts';

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

/** Ignored files of hibernated workspaces are all that has links, or folders that may be empty. */
const asidePath = z.string().startsWith(`${ASIDE_FOLDER}/`);
const linkSchema = z.strictObject({ path: asidePath, target: z.string() });
const folderSchema = z.strictObject({
  path: asidePath,
  /** Its permissions. */
  mode: z.int().min(0).max(0o7777),
});

const common = {
  createdAt: z.string(),
  goldfishVersion: z.string(),
  projectName: z.string(),
  /** The store, the versions, the config and what is kept aside. */
  files: z.array(fileSchema),
  /** Every stored object of the project: what a complete restore needs, in this backup or elsewhere. */
  objects: z.array(z.strictObject({ key: z.string(), size: z.number().nonnegative() })),
  /** Whether the objects' bytes are in this backup. */
  hasObjects: z.boolean(),
};

export const MANIFEST_SCHEMA = 2;
/** It named files only; links and folders lie in those backups unlisted. */
const firstSchema = z.strictObject({ schema: z.literal(1), ...common });
const newestSchema = z.strictObject({
  schema: z.literal(MANIFEST_SCHEMA),
  ...common,
  links: z.array(linkSchema),
  folders: z.array(folderSchema),
});
const manifestSchema = z.discriminatedUnion('schema', [firstSchema, newestSchema]);

export type BackupManifest = z.output<typeof newestSchema>;

export function manifestPath(folder: string): string {
  return join(folder, MANIFEST_FILE);
}

/**
 * One of the first form is read as if it had listed the links and folders that lie there.
 * Errors: INVALID_ARGUMENT where the folder is no backup, one that was cut short or damaged, or one of a newer program.
 */
export async function readManifest(folder: string): Promise<BackupManifest> {
  const content = await readJson(folder);
  if (schemaOf(content) > MANIFEST_SCHEMA) throw newer(schemaOf(content));
  const read = manifestSchema.safeParse(content);
  if (!read.success) throw unreadable(read.error);
  if (read.data.schema === MANIFEST_SCHEMA) return read.data;
  const { links, folders } = await entriesBelow(folder, ASIDE_FOLDER);
  return { ...read.data, schema: MANIFEST_SCHEMA, links, folders };
}

async function readJson(folder: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(manifestPath(folder), 'utf8'));
  } catch (error) {
    throw unreadable(error);
  }
}

function schemaOf(content: unknown): number {
  const isObject = typeof content === 'object' && content !== null && 'schema' in content;
  return isObject && typeof content.schema === 'number' ? content.schema : 0;
}

function newer(schema: number): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `The backup was made by a newer Goldfish (manifest ${schema}; this program knows ${MANIFEST_SCHEMA}).`,
    hint: 'Restore it with the newer Goldfish.',
    details: { field: 'backup' },
  });
}

function unreadable(cause: unknown): GoldfishError {
  const missing = ['ENOENT', 'ENOTDIR'].includes(errnoOf(cause) ?? '');
  return new GoldfishError('INVALID_ARGUMENT', {
    message: missing
      ? 'The folder holds no complete backup: its manifest is missing.'
      : 'The manifest of the backup cannot be read.',
    hint: 'Name a folder that `goldfish backup --list` shows.',
    details: { field: 'backup' },
    cause,
  });
}
