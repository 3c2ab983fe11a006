import { objectKey } from '../data/object-keys.ts';
import type { Db } from '../store/database.ts';
import { neededContent } from '../store/garbage.ts';
import type { BackupManifest } from './manifest.ts';

/** Later than every deletion: what was deleted is not missed. */
const NEVER = '9999';

/** Hashes of content that rows name and the manifest does not list. Files of a folder are not looked for. */
export function missingContent(db: Db, { objects }: Pick<BackupManifest, 'objects'>): string[] {
  const listed = new Set(objects.map(({ key }) => key));
  const needed = new Set(neededContent(db, NEVER).map(({ hash }) => hash));
  return [...needed].filter((hash) => !listed.has(objectKey(hash)));
}
