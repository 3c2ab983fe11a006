import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { errnoOf } from '../core/errors.ts';
import type { Environment } from './host.ts';

const DOTENV_FILE = '.env';
const MAX_BYTES = 1024 * 1024;

/** Values that files name as `${env:NAME}`. Looked up when they are needed, handed on, never kept or shown. */
export type Secrets = {
  /** From the environment of this process, else from `.env`; undefined where neither has the name. */
  value(name: string): string | undefined;
  /** Those without a value, each once. */
  missing(names: readonly string[]): string[];
  /** Why `.env` is there and yet not read. */
  refusal(): { message: string; hint: string } | null;
};

/** @param project the folder with goldfish.yaml, beside which `.env` lies */
export function createSecrets(project: { root: string; environment: Environment }): Secrets {
  const file = dotenvFile(join(project.root, DOTENV_FILE));
  const value = (name: string): string | undefined => project.environment[name] ?? file().values.get(name);
  return {
    value,
    missing: (names) => [...new Set(names)].filter((name) => value(name) === undefined),
    refusal: () => file().refusal,
  };
}

type DotenvFile = { values: ReadonlyMap<string, string>; refusal: { message: string; hint: string } | null };

/** Reads the file anew whenever it has changed, so that a name that was missing is found without a restart. */
function dotenvFile(path: string): () => DotenvFile {
  let seen: string | undefined;
  let last: DotenvFile = nothing;
  return () => {
    const stats = statSync(path, { throwIfNoEntry: false, bigint: true });
    if (stats === undefined) {
      seen = undefined;
      return nothing;
    }
    const now = [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs, stats.mode].join(':');
    if (now !== seen)
      last = stats.isFile() ? read(path, stats) : refused('is not a file', 'Put a file there.');
    seen = now;
    return last;
  };
}

const nothing: DotenvFile = { values: new Map(), refusal: null };

function refused(why: string, hint: string): DotenvFile {
  return { values: new Map(), refusal: { message: `It is not read: it ${why}.`, hint } };
}

function read(path: string, stats: { mode: bigint; size: bigint }): DotenvFile {
  if ((stats.mode & 0o077n) !== 0n) {
    return refused('may be read or written by others than its owner', 'Run: chmod 600 .env');
  }
  if (stats.size > MAX_BYTES) return refused('is too large', 'Keep only NAME=value lines in it.');
  try {
    const values = Object.entries(parseEnv(readFileSync(path, 'utf8')));
    return {
      values: new Map(values.flatMap(([name, text]) => (text === undefined ? [] : [[name, text]]))),
      refusal: null,
    };
  } catch (error) {
    return refused(`cannot be read (${errnoOf(error) ?? 'unknown'})`, 'Make it readable for this user.');
  }
}
