import type { SimpleGit } from 'simple-git';
import { GoldfishError, messageOf } from '../core/errors.ts';
import { diskSpace } from '../os/disk-space.ts';
import { unlessBlocked } from './blocked-git.ts';

/** Where one command works. Without an index and a work tree it sees the store's objects and refs only. */
export type GitPlace = {
  index?: string;
  workTree?: string;
  /** Objects are written here instead of into the store; the store's are still read. */
  scratchObjects?: string;
  /** Author and committer time, ms since the epoch. */
  time?: number;
};

export type GitCall = GitPlace & { input?: string | Uint8Array };

/**
 * The commands of the hidden store. Every call is one process with a minimal environment: no configuration, hook,
 * attribute or ignore file of the user or the machine takes part.
 * Errors: STORAGE_UNAVAILABLE, with git's own words in `cause` only; NOT_SUPPORTED where a pipe of the work tree would
 * keep git for ever.
 */
export type Git = {
  text(args: readonly string[], call?: GitCall): Promise<string>;
  /** `cat-file` with its output as bytes. */
  catFile(args: readonly string[], call?: GitCall): Promise<Buffer>;
};

const CONFIG = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.fsync=committed,reference',
  'core.excludesFile=/dev/null',
  'core.attributesFile=/dev/null',
  'core.autocrlf=false',
  'core.safecrlf=false',
  'core.fileMode=true',
  'core.symlinks=true',
  'core.ignoreCase=false',
  'core.precomposeUnicode=false',
  // File names of other systems are data here; nothing is ever checked out on such a system.
  'core.protectNTFS=false',
  'core.protectHFS=false',
  'core.quotePath=false',
  'gc.auto=0',
  'maintenance.auto=false',
];

/**
 * @param store       absolute path of the bare repository
 * @param searchPath  PATH for finding the program
 */
export function createGit(store: string, searchPath: string): Git {
  const prepared = async (call: GitCall, abort?: AbortSignal): Promise<SimpleGit> => {
    // Imported on first use: 30 ms that a server without version work never pays.
    const { simpleGit } = await import('simple-git');
    const env = environment(store, searchPath, call);
    const { input } = call;
    return simpleGit({
      baseDir: call.workTree ?? store,
      config: CONFIG,
      ...(abort === undefined ? {} : { abort }),
      completion: { onClose: true, onExit: false },
      allowEnvironment: Object.keys(env).filter((name) => name.startsWith('GIT_')),
      unsafe: {
        allowUnsafeConfigPaths: true,
        allowUnsafeHooksPath: true,
        allowUnsafeFsMonitor: true,
        allowUnsafeTemplateDir: true,
      },
      // Without this a failure that prints nothing counts as a success.
      errors: (error, result) =>
        result.exitCode === 0 && !error
          ? undefined
          : (error ?? new Error(`exit ${result.exitCode}: ${Buffer.concat(result.stdErr)}`)),
      ...(input === undefined
        ? {}
        : { input: () => (typeof input === 'string' ? input : Buffer.from(input)) }),
    }).env(env);
  };
  const guarded = async <T>(args: readonly string[], call: GitCall, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      const operation = args.find((arg) => !arg.startsWith('-')) ?? '';
      const places = [store, call.index, call.workTree, call.scratchObjects];
      throw (await metFullDisk(cause, places)) ? diskFull(operation, cause) : storeFailed(operation, cause);
    }
  };
  return {
    text: (args, call = {}) =>
      unlessBlocked(call.workTree, (abort) =>
        guarded(args, call, async () => (await prepared(call, abort)).raw([...args])),
      ),
    catFile: (args, call = {}) =>
      guarded(['cat-file'], call, async () => (await prepared(call)).binaryCatFile([...args])),
  };
}

function environment(store: string, searchPath: string, call: GitCall): Record<string, string> {
  const date = `@${Math.floor((call.time ?? 0) / 1000)} +0000`;
  const person = { NAME: 'Goldfish', EMAIL: 'goldfish@localhost', DATE: date };
  return {
    PATH: searchPath,
    // Never the user's: git looks below HOME for ignore and attribute files as well.
    HOME: store,
    LC_ALL: 'C',
    GIT_DIR: store,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_OPTIONAL_LOCKS: '0',
    // simple-git waits 50 ms for commands that print nothing; one trace line on stderr saves that.
    GIT_TRACE: '1',
    ...(call.index === undefined ? {} : { GIT_INDEX_FILE: call.index }),
    ...(call.workTree === undefined ? {} : { GIT_WORK_TREE: call.workTree }),
    ...(call.scratchObjects === undefined
      ? {}
      : {
          GIT_OBJECT_DIRECTORY: call.scratchObjects,
          // A list separated by colons; quoted, because a project's path may hold one.
          GIT_ALTERNATE_OBJECT_DIRECTORIES: JSON.stringify(`${store}/objects`),
        }),
    ...Object.fromEntries(
      Object.entries(person).flatMap(([key, value]) => [
        [`GIT_AUTHOR_${key}`, value],
        [`GIT_COMMITTER_${key}`, value],
      ]),
    ),
  };
}

/** As git ends its line with the C library's words for ENOSPC and EDQUOT, in the language it is told to use, or its own. */
const DISK_FULL = /: (No space left on device|Disk quota exceeded)$|write error\. Out of diskspace$/m;
/** Of a file of a checkout, and at times of an index, it says only that it could not be written. */
const NOT_WRITTEN = /(unable|could not|failed) to write|write error/i;
/** What is left of a disk when a write has just found no room: less than the smallest thing worth storing needs. */
const FULL_BELOW_BYTES = 1 << 20;

/** `places`: where the command may have written. */
async function metFullDisk(cause: unknown, places: readonly (string | undefined)[]): Promise<boolean> {
  const said = messageOf(cause);
  if (DISK_FULL.test(said)) return true;
  if (!NOT_WRITTEN.test(said)) return false;
  const named = places.filter((place) => place !== undefined);
  const free = await Promise.all(named.map((place) => diskSpace(place).catch(() => undefined)));
  return free.some((space) => space !== undefined && space.freeBytes < FULL_BELOW_BYTES);
}

function diskFull(command: string, cause: unknown): GoldfishError {
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: 'The disk is full: there is no room for the files of a version.',
    hint: 'Free some space, then retry.',
    details: { operation: command, errno: 'ENOSPC' },
    retryable: true,
    cause,
  });
}

function storeFailed(command: string, cause: unknown): GoldfishError {
  const missing = /ENOENT/.test(messageOf(cause));
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: missing
      ? 'The version store needs a program that is not installed on this machine.'
      : 'The version store refused an operation.',
    hint: missing
      ? 'Run `goldfish doctor` on this machine; it names what is missing.'
      : 'Check that the disk is not full and that .goldfish is readable and writable by this user.',
    details: { operation: command },
    // Among what git does not put into words is much that passes.
    retryable: !missing,
    cause,
  });
}

/** The items of output made with `-z`. */
export function splitNul(text: string): string[] {
  const items = text.split('\0');
  items.pop();
  return items;
}
