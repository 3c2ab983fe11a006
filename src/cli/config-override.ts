import { GoldfishError } from '../core/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../core/json.ts';
import { clip } from '../core/names.ts';

/**
 * `train.lr=0.1`, `train.model.layers=[8, 4]` → {train: {lr: 0.1, model: {layers: [8, 4]}}}. Values are YAML, so JSON
 * too: `x=` is null, `x=''` an empty text, `x="1"` the text 1. Errors: INVALID_ARGUMENT.
 */
export async function readOverride(settings: readonly string[]): Promise<JsonObject> {
  const { parse } = await import('yaml');
  const override: JsonObject = {};
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    const path = setting.slice(0, Math.max(0, equals)).split('.');
    if (path.length < 2 || path.some((key) => key === ''))
      throw refused(setting, 'It names no stage and key.');
    put(override, path, readValue(parse, setting, setting.slice(equals + 1)), setting);
  }
  return override;
}

type Parse = (text: string, options: { logLevel: 'error' }) => unknown;

function readValue(parse: Parse, setting: string, text: string): Json {
  try {
    return requireJson(parse(text, { logLevel: 'error' }));
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : undefined;
    throw refused(setting, `The value cannot be read: ${why ?? 'it is no YAML'}`);
  }
}

function requireJson(value: unknown): Json {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map(requireJson);
  // Not what a YAML tag makes: bytes, a set, a map.
  if (isJsonObject(value) && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, requireJson(item)]));
  }
  throw new Error('it is no number, text, boolean, list or object that JSON knows');
}

function put(root: JsonObject, path: readonly string[], value: Json, setting: string): void {
  let object = root;
  for (const [at, key] of path.entries()) {
    const present = Object.hasOwn(object, key) ? object[key] : undefined;
    if (at === path.length - 1) {
      if (present !== undefined) throw refused(setting, 'The key is set twice.');
      define(object, key, value);
      return;
    }
    if (present !== undefined && !isJsonObject(present)) throw refused(setting, 'The key is set twice.');
    const child: JsonObject = present ?? {};
    if (present === undefined) define(object, key, child);
    object = child;
  }
}

/** A key named __proto__ is data and nothing else. */
function define(object: JsonObject, key: string, value: Json): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

function refused(setting: string, why: string): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `"--set ${clip(setting)}" is not understood. ${why}`,
    hint: 'Write --set stage.key=value, as in --set train.learning_rate=0.1.',
    details: { field: '--set' },
  });
}

/** `stage.input=source` for each input, as `inputs_override` wants it. Errors: INVALID_ARGUMENT. */
export function readInputs(typed: readonly string[]): Record<string, Record<string, string>> {
  const inputs = new Map<string, [string, string][]>();
  for (const text of typed) {
    const [, stage, input, source] = /^([^.=]+)\.([^.=]+)=(.+)$/.exec(text) ?? [];
    if (stage === undefined || input === undefined || source === undefined) {
      throw new GoldfishError('INVALID_ARGUMENT', {
        message: `"${clip(text)}" does not say which input reads what.`,
        hint: 'Write --input stage.input=source.',
      });
    }
    inputs.set(stage, [...(inputs.get(stage) ?? []), [input, source]]);
  }
  return Object.fromEntries([...inputs].map(([stage, entries]) => [stage, Object.fromEntries(entries)]));
}
