/**
 * Compiles the kill points into the programs of a test. `node --import=<this file>` (through NODE_OPTIONS, so that
 * servers, commands and the supervisors they start all have it) replaces each marker of the sources,
 * `// kill point: NAME` on a line of its own, by a call that kills the process with SIGKILL there, if
 * GOLDFISH_KILL_AT says so: `NAME`, `NAME:3` for the third pass in one process, several with commas. Each kills once over
 * all processes: before the kill, a file `<NAME with . for />` is made in GOLDFISH_KILL_RECORD.
 * Without the hook the markers are comments. The run wrapper has a copy of its own, see runtime-copy.ts. GOLDFISH_KILL_HASTE
 * is by how much shorter some waits are than in life, for trials that would take minutes of nothing else.
 */
import { writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';

const SOURCES = new URL('../../../src/', import.meta.url).href;
const MARKER = /^([ \t]*)\/\/ kill point: ([a-z-]+\/[a-z-]+)$/gm;
/** What is waited for, and where it says for how long. */
const WAITS: readonly (readonly [file: string, words: string])[] = [
  ['/config/config.ts', 'defaults.launch_timeout_seconds'],
  ['/config/gce.ts', 'pool.watchdog_seconds'],
];
const ASSET_PATH = 'export function assetPath(relative: string): string {\n';
/** Not to be seen in the programs of a test by anything but the calls below. */
const HERE = 'goldfishKillPoint';
const RUNTIME = 'goldfishKillPointRuntime';

const wanted = readWanted(process.env['GOLDFISH_KILL_AT'] ?? '');
const record = process.env['GOLDFISH_KILL_RECORD'];
const runtime = process.env['GOLDFISH_KILL_RUNTIME'];
const haste = Number(process.env['GOLDFISH_KILL_HASTE'] ?? '1');
const passes = new Map<string, number>();

Object.assign(globalThis, {
  [HERE]: (name: string): void => {
    const at = wanted.get(name);
    const pass = (passes.get(name) ?? 0) + 1;
    passes.set(name, pass);
    if (at === pass && mayKill(name)) process.kill(process.pid, 'SIGKILL');
  },
  /** Where the programs in Python are that have their own kill points; undefined for everything else. */
  [RUNTIME]: (relative: string): string | undefined =>
    runtime !== undefined && /^runtime(\/|$)/.test(relative)
      ? join(runtime, relative.slice('runtime'.length))
      : undefined,
});

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    if (!url.startsWith(SOURCES) || loaded.source == null) return loaded;
    return { ...loaded, source: compile(url, textOf(loaded.source)) };
  },
});

function compile(url: string, text: string): string {
  const marked = hasten(
    url,
    text.replaceAll(MARKER, (_, indent, name) => `${indent}globalThis.${HERE}('${name}');`),
  );
  if (!url.endsWith('/core/assets.ts')) return marked;
  if (!marked.includes(ASSET_PATH)) throw new Error('kill points: assetPath is not where it was');
  const copied = `  const copied = globalThis.${RUNTIME}(relative); if (copied !== undefined) return copied;`;
  return marked.replace(ASSET_PATH, () => `${ASSET_PATH.trimEnd()}${copied}\n`);
}

function hasten(url: string, text: string): string {
  const [, words] = WAITS.find(([file]) => url.endsWith(file)) ?? [];
  if (haste === 1 || words === undefined) return text;
  if (!text.includes(words)) throw new Error(`kill points: ${words} is not where it was`);
  return text.replaceAll(words, `${words} / ${haste}`);
}

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray): string {
  return typeof source === 'string' ? source : new TextDecoder().decode(source);
}

function readWanted(text: string): Map<string, number> {
  return new Map(
    text
      .split(',')
      .filter(Boolean)
      .map((word): [string, number] => {
        const [name = '', pass = '1'] = word.split(':');
        return [name, Number(pass)];
      }),
  );
}

/** Only the first of all processes that come here. */
function mayKill(name: string): boolean {
  if (record === undefined) return false;
  try {
    writeFileSync(join(record, name.replace('/', '.')), `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}
