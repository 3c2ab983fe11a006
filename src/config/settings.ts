import { canonicalJson, isJsonObject, type Json } from '../core/json.ts';
import type { Config } from './config.ts';
import { CONFIG_FILE } from './find-project.ts';
import type { Modern } from './legacy.ts';
import { type ConfigFile, configKeys } from './schema.ts';

/** A resolved value and where it comes from: `built-in` or `goldfish.yaml:12`. */
export type Setting = { key: string; value: Json; origin: string };

/**
 * Values as written, but with what null stands for where the machine decides. Of keys with names of the user's
 * choice those that are written. A value from the environment is shown as its reference.
 */
export function settingsOf(
  file: ConfigFile,
  config: Config,
  written: Pick<Modern, 'written' | 'locate'>,
): Setting[] {
  const decided: Record<string, Json> = {
    'process.max_parallel': config.process.maxParallel,
    'docker.max_parallel': config.docker.maxParallel,
  };
  const values: Json = JSON.parse(JSON.stringify(file));
  return configKeys()
    .flatMap((key) => expand(values, key.split('.')))
    .map((path) => {
      const key = path.join('.');
      const stands = written.written(path);
      const origin = stands ? `${CONFIG_FILE}:${written.locate(path, 'key').line}` : 'built-in';
      return { key, value: decided[key] ?? valueAt(values, path) ?? null, origin };
    });
}

export type SettingChange = { key: string; from: Json; to: Json; origin: string };

/** Values that differ; what is no longer written at all goes to null. */
export function changesBetween(before: readonly Setting[], after: readonly Setting[]): SettingChange[] {
  const old = new Map(before.map((setting) => [setting.key, setting.value]));
  const gone = before.filter((setting) => !after.some(({ key }) => key === setting.key));
  const now = [...after, ...gone.map(({ key }) => ({ key, value: null, origin: 'removed' }))];
  return now.flatMap(({ key, value, origin }) => {
    const from = old.get(key) ?? null;
    return canonicalJson(from) === canonicalJson(value) ? [] : [{ key, from, to: value, origin }];
  });
}

/** What lies where a value says: files of this machine, rented machines, or what these get and send. */
export type Move = SettingChange & { keeps: 'files' | 'machines' | 'work of machines' };

/** Where a supervisor leaves things that it must find again: its own, and machines that run and are paid for. */
const PLACES: Readonly<Record<string, Move['keeps']>> = {
  state_dir: 'files',
  'storage.local.path': 'files',
  'gce.project_id': 'machines',
  'storage.gcs.bucket': 'work of machines',
  'storage.gcs.prefix': 'work of machines',
};

/** Changes that say where things are kept: who reads them anew would look in an empty place. */
export function movesState(changes: readonly SettingChange[]): Move[] {
  return changes.flatMap((change) => {
    const keeps = Object.hasOwn(PLACES, change.key) ? PLACES[change.key] : undefined;
    // Where no bucket or project was named before, nothing is left behind.
    if (keeps === undefined || (keeps !== 'files' && change.from === null)) return [];
    return [{ ...change, keeps }];
  });
}

/** The paths a key stands for: itself, or one for each name in place of its `*`. */
function expand(values: Json, key: readonly string[]): string[][] {
  const star = key.indexOf('*');
  if (star === -1) return [[...key]];
  const names = valueAt(values, key.slice(0, star));
  const paths = isJsonObject(names) ? Object.keys(names).map((name) => key.toSpliced(star, 1, name)) : [];
  return paths.filter((path) => valueAt(values, path) !== undefined);
}

function valueAt(values: Json, path: readonly string[]): Json | undefined {
  let value: Json | undefined = values;
  for (const part of path) {
    value = isJsonObject(value) && Object.hasOwn(value, part) ? value[part] : undefined;
  }
  return value;
}
