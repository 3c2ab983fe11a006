import { GoldfishError } from './errors.ts';

/** Names of workspaces, slots, stages, signals, tags, sources, projects: never an option or a dot path. */
export const NAME_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$/;
export const ENVIRONMENT_NAME_PATTERN = /^[A-Z_][A-Z0-9_]*$/;
const VERSION_PATTERN = /^v([1-9]\d{0,8})$/;

/** Windows device names and words the system uses itself; refused so that a project stays portable. */
const RESERVED_NAMES = new Set([
  'con',
  'prn',
  'aux',
  'nul',
  'head',
  'fetch_head',
  'orig_head',
  'latest',
  'none',
]);

/** What `parseReference` would read as an id; a thing of that name could not be referred to. */
const ID_LIKE = /^(stage|prun|sweep)-[a-f0-9]{6,}$/;

function isReserved(value: string): boolean {
  return RESERVED_NAMES.has(value.toLowerCase()) || ID_LIKE.test(value);
}

export function isName(value: string): boolean {
  return NAME_PATTERN.test(value) && !isReserved(value);
}

/** Refuses what is no name. `what` is the noun used in the message: "workspace", "tag". */
export function requireName(value: string, what: string): string {
  if (isName(value)) return value;
  const reserved = isReserved(value);
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: reserved
      ? `"${clip(value)}" is reserved and cannot be a ${what} name.`
      : `"${clip(value)}" is not a valid ${what} name.`,
    hint: 'Use 1 to 64 letters, digits, "-" or "_", starting with a letter or digit.',
    details: { field: what, pattern: NAME_PATTERN.source },
  });
}

/** Shortens text that came from outside so that it can stand in a message. */
export function clip(text: string, max = 80): string {
  // The slice bounds the work on huge text; half of a surrogate pair at its end becomes U+FFFD and is cut off below.
  const head = text.slice(0, max * 2 + 2).toWellFormed();
  const characters = [...head.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')];
  return characters.length <= max && head.length === text.length
    ? characters.join('')
    : `${characters.slice(0, max).join('')}…`;
}

/** `3` → `v3`. */
export function formatVersion(version: number): string {
  return `v${version}`;
}

/** `v3` → 3; undefined for anything else. */
export function parseVersion(text: string): number | undefined {
  const match = VERSION_PATTERN.exec(text);
  return match ? Number(match[1]) : undefined;
}

/** A reference as a person types it. `name` is a workspace or a slot; which one is found out by the reader. */
export type Reference =
  | { kind: 'name'; name: string }
  | { kind: 'version'; name: string; version: number }
  | { kind: 'tag'; tag: string; name?: string }
  | { kind: 'run'; id: string }
  | { kind: 'pipeline_run'; id: string };

/**
 * Reads `ws`, `ws@v3`, `ws@tag`, `@tag`, `stage-<hex>`, `prun-<hex>`. Ids may be prefixes of ≥ 6 hex.
 * Pure: says nothing about whether the thing exists.
 */
export function parseReference(text: string): Reference {
  if (/^stage-[a-f0-9]{6,}$/.test(text)) return { kind: 'run', id: text };
  if (/^prun-[a-f0-9]{6,}$/.test(text)) return { kind: 'pipeline_run', id: text };
  const at = text.indexOf('@');
  if (at === -1) return { kind: 'name', name: requireName(text, 'workspace') };
  const name = text.slice(0, at);
  const rest = text.slice(at + 1);
  const version = parseVersion(rest);
  if (name !== '' && version !== undefined) {
    return { kind: 'version', name: requireName(name, 'workspace'), version };
  }
  const tag = requireName(rest, 'tag');
  return name === '' ? { kind: 'tag', tag } : { kind: 'tag', tag, name: requireName(name, 'workspace') };
}
