import { createHash, randomBytes } from 'node:crypto';
import { link, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, GoldfishError, isGoldfishError } from '../core/errors.ts';
import { isJsonObject, parseJson } from '../core/json.ts';
import type { Layout } from '../core/layout.ts';
import { syncFolder, writeFileAtomic } from './files.ts';

const FILE = 'project-mark';
const MARK = /^gf-[0-9a-f]{16}$/;

/** Of the state folder. Moved on its disk it keeps device and inode; a copy of it has another inode. */
type Home = { device: string; inode: string; path: string };
/** `home` is null where none is written down, or none that can be read. */
type Marked = { mark: string; home: Home | null };

export type MarkOptions = {
  /** Whether the project knows of machines that may be there under its mark. */
  hasMachines: () => boolean;
};

/**
 * A word that tells what this project has elsewhere (rented machines, objects of a bucket) from what others have. It lies
 * beside the database and not in it: a backup that is restored elsewhere is another project, which must not take the first
 * one's machines for its own. Made once, whoever asks first.
 *
 * The file says where it was written. A copy of the state folder takes a mark of its own; where the rows that were copied
 * with it name machines, nobody here can know whose these are, and nothing is done to them.
 * Errors: CONFLICT, then.
 */
export async function projectMark(
  { stateDir }: Pick<Layout, 'stateDir'>,
  { hasMachines }: MarkOptions,
): Promise<string> {
  const here = await homeOf(stateDir);
  const file = join(stateDir, FILE);
  const known = (await readMark(file)) ?? (await makeMark(file, here));
  if (known.home === null || isSame(known.home, here)) {
    if (JSON.stringify(known.home) !== JSON.stringify(here)) await writeMark(file, known.mark, here);
    return known.mark;
  }
  if (hasMachines()) throw strayed();
  const mark = await markOfCopy(stateDir, { mark: known.mark, here });
  await writeMark(file, mark, here);
  return mark;
}

/** Why the project's mark is not to be used here; null where it may be. Writes nothing. */
export async function markProblem(
  { stateDir }: Pick<Layout, 'stateDir'>,
  { hasMachines }: MarkOptions,
): Promise<GoldfishError | null> {
  try {
    const known = await readMark(join(stateDir, FILE));
    const home = known?.home ?? null;
    if (home === null || isSame(home, await homeOf(stateDir))) return null;
    return hasMachines() ? strayed() : null;
  } catch (error) {
    if (isGoldfishError(error)) return error;
    throw error;
  }
}

async function homeOf(stateDir: string): Promise<Home> {
  const path = await realpath(stateDir);
  const { dev, ino } = await stat(path, { bigint: true });
  return { device: `${dev}`, inode: `${ino}`, path };
}

/** Numbers of devices may change with a restart of the machine. An inode alone may be the same on another disk. */
function isSame(home: Home, here: Home): boolean {
  return home.inode === here.inode && (home.device === here.device || home.path === here.path);
}

function strayed(): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message:
      'The state folder is not the one from which machines were rented: it was copied, restored or moved to another disk. They may be another project’s now, and are left alone.',
    hint: `If this is a copy, remove the file "${FILE}" from the state folder: what was rented stays with the first one. If the first one is no more, remove the second line of that file, and the machines are this project’s again.`,
  });
}

/** The same for all who ask at one time, and another one for each copy. */
async function markOfCopy(stateDir: string, of: { mark: string; here: Home }): Promise<string> {
  const { birthtimeNs } = await stat(stateDir, { bigint: true });
  const words = [of.mark, of.here.device, of.here.inode, `${birthtimeNs}`].join('\0');
  return `gf-${createHash('sha256').update(words).digest('hex').slice(0, 16)}`;
}

function textOf(mark: string, home: Home): string {
  return `${mark}\n${JSON.stringify(home)}\n`;
}

async function writeMark(file: string, mark: string, home: Home): Promise<void> {
  await writeFileAtomic(file, textOf(mark, home));
}

async function makeMark(file: string, home: Home): Promise<Marked> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  const text = textOf(`gf-${randomBytes(8).toString('hex')}`, home);
  await writeFile(temporary, text, { mode: 0o600, flag: 'wx', flush: true });
  try {
    await link(temporary, file);
    await syncFolder(dirname(file));
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  const made = await readMark(file);
  if (made === undefined) throw damaged();
  return made;
}

/** Undefined where there is none. One that is damaged is an error: with another one, machines would be forgotten. */
async function readMark(file: string): Promise<Marked | undefined> {
  try {
    const [mark = '', home = ''] = (await readFile(file, 'utf8')).split('\n');
    if (!MARK.test(mark)) throw damaged();
    return { mark, home: readHome(home) };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function readHome(line: string): Home | null {
  const value = parseJson(line);
  if (!isJsonObject(value)) return null;
  const { device, inode, path } = value;
  const isWhole = typeof device === 'string' && typeof inode === 'string' && typeof path === 'string';
  return isWhole ? { device, inode, path } : null;
}

function damaged(): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `The file "${FILE}" of the state folder is damaged: it tells this project's machines from those of others.`,
    hint: 'Put its content back; where no machine is rented, remove it.',
  });
}
