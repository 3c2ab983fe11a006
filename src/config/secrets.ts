import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { errnoOf } from '../core/errors.ts';
import type { Environment } from './host.ts';

/** Beside goldfish.yaml. */
export const DOTENV_FILE = '.env';
const MAX_BYTES = 1024 * 1024;
/** `.env` holds settings, too; hiding words such as "production" would make a refusal unreadable. */
const SHORTEST_KNOWN = 8;

/** Values that files name as `${env:NAME}`. Looked up when they are needed, handed on, never kept or shown. */
export type Secrets = {
  /** From the environment of this process, else from `.env`; undefined where neither has the name. */
  value(name: string): string | undefined;
  /** Those without a value, each once. */
  missing(names: readonly string[]): string[];
  /** Every value the names had since this was made: a program may still hold one that was replaced. */
  everyValue(names: readonly string[]): string[];
  /** What must not stand in a refusal, an audit row or a log: all of `.env`, and whatever was looked up. */
  known(): string[];
  /** Why `.env` is there and yet not read. */
  refusal(): { message: string; hint: string } | null;
};

/** @param project the folder with goldfish.yaml, beside which `.env` lies */
export function createSecrets(project: { root: string; environment: Environment }): Secrets {
  const file = dotenvFile(join(project.root, DOTENV_FILE));
  const found = (name: string): string | undefined => project.environment[name] ?? file().values.get(name);
  const lookedUp = new Map<string, Set<string>>();
  const value = (name: string): string | undefined => {
    const text = found(name);
    if (text !== undefined) lookedUp.set(name, (lookedUp.get(name) ?? new Set()).add(text));
    return text;
  };
  return {
    value,
    missing: (names) => [...new Set(names)].filter((name) => value(name) === undefined),
    everyValue: (names) => {
      for (const name of names) value(name);
      return names.flatMap((name) => [...(lookedUp.get(name) ?? [])]);
    },
    known: () => {
      const all = [...[...lookedUp.values()].flatMap((values) => [...values]), ...file().values.values()];
      return [...new Set(all)].filter((text) => text.length >= SHORTEST_KNOWN);
    },
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
    if (now !== seen) last = read(path);
    seen = now;
    return last;
  };
}

const nothing: DotenvFile = { values: new Map(), refusal: null };

function refused(why: string, hint: string): DotenvFile {
  return { values: new Map(), refusal: { message: `It is not read: it ${why}.`, hint } };
}

/** What is judged is what is read: the file that was opened, wherever a link led to, and not what is put in its place. */
function read(path: string): DotenvFile {
  let descriptor: number | undefined;
  try {
    // A pipe must not make anybody wait.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return readOpen(descriptor);
  } catch (error) {
    // A socket.
    if (errnoOf(error) === 'ENXIO') return refused('is not a file', 'Put a file there.');
    return refused(`cannot be read (${errnoOf(error) ?? 'unknown'})`, 'Make it readable for this user.');
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function readOpen(descriptor: number): DotenvFile {
  const stats = fstatSync(descriptor);
  if (!stats.isFile()) return refused('is not a file', 'Put a file there.');
  if ((stats.mode & 0o077) !== 0) {
    return refused('may be read or written by others than its owner', 'Run: chmod 600 .env');
  }
  if (stats.uid !== process.geteuid?.()) {
    return refused('belongs to another user', 'Let it belong to the user who runs Goldfish.');
  }
  if (stats.size > MAX_BYTES) return refused('is too large', 'Keep only NAME=value lines in it.');
  const values = Object.entries(parseEnv(readFileSync(descriptor, 'utf8')));
  return {
    values: new Map(values.flatMap(([name, text]) => (text === undefined ? [] : [[name, text]]))),
    refusal: null,
  };
}
