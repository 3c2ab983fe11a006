import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import { syncFolder } from './files.ts';

const FILE = 'project-mark';
const MARK = /^gf-[0-9a-f]{16}$/;

/**
 * A word that tells what this project has elsewhere (rented machines, objects of a bucket) from what others have. It lies
 * beside the database and not in it: a backup that is restored elsewhere is another project, which must not take the first
 * one's machines for its own. Made once, whoever asks first.
 */
export async function projectMark({ stateDir }: Pick<Layout, 'stateDir'>): Promise<string> {
  const file = join(stateDir, FILE);
  const known = await readMark(file);
  if (known !== undefined) return known;
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(temporary, `gf-${randomBytes(8).toString('hex')}`, {
    mode: 0o600,
    flag: 'wx',
    flush: true,
  });
  try {
    await link(temporary, file);
    await syncFolder(stateDir);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  const made = await readMark(file);
  if (made === undefined) throw new Error(`${FILE} of the project's state is damaged`);
  return made;
}

/** Undefined where there is none. One that is damaged is an error: with another one, machines would be forgotten. */
async function readMark(file: string): Promise<string | undefined> {
  try {
    const mark = await readFile(file, 'utf8');
    if (MARK.test(mark)) return mark;
    throw new Error(`${FILE} of the project's state is damaged`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
