import { z } from 'zod';
import { isName } from '../core/names.ts';
import { unwrap } from './check-shape.ts';

/** Backends a project can name; `auto` takes the best one that answers. */
export const BACKENDS = ['auto', 'process'] as const;
const TOOLSETS = ['core', 'default', 'all'] as const;
const MAX_SLOTS = 64;
/** A year: longer is a mistake in the unit. */
const MAX_SECONDS = 31_536_000;

/** A section may stand there with every key commented out. */
function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.preprocess((value) => value ?? {}, z.strictObject(shape, 'must be a mapping'));
}

/** Error texts follow the key's name: `"slots" must be …`. */
function numberOf(expected: string, limits: { min?: number; above?: number; max?: number; whole?: true }) {
  const error = `must be ${expected}`;
  let schema = z.number(error);
  if (limits.whole) schema = schema.int(error);
  if (limits.min !== undefined) schema = schema.min(limits.min, error);
  if (limits.above !== undefined) schema = schema.gt(limits.above, error);
  return limits.max === undefined ? schema : schema.max(limits.max, error);
}

export function oneOf<const Words extends readonly string[]>(words: Words) {
  const list = words.length === 1 ? words[0] : `one of ${words.join(', ')}`;
  return z.enum(words, `must be ${list}`);
}

export const secondsSchema = numberOf('a number of seconds above 0 and at most a year', {
  above: 0,
  max: MAX_SECONDS,
});

const pathSchema = z
  .string('must be a path')
  .refine((path) => path.trim() !== '' && !path.includes('\0'), 'must be a path')
  .refine((path) => !path.startsWith('~'), 'must be written out from "/" or relative to the project');

const SLOTS = `must be a number from 1 to ${MAX_SLOTS} or a list of up to ${MAX_SLOTS} names`;
const slotsSchema = z.preprocess(
  (value) => {
    const count = typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= MAX_SLOTS;
    return count ? Array.from({ length: value }, (_, index) => `w${index + 1}`) : value;
  },
  z
    .array(
      z
        .string('must be a name')
        .refine(isName, 'must be a name of up to 64 letters, digits, "-" or "_" that is no reserved word'),
      SLOTS,
    )
    .min(1, SLOTS)
    .max(MAX_SLOTS, SLOTS)
    .refine(
      (names) => new Set(names.map((name) => name.toLowerCase())).size === names.length,
      'must name each slot once',
    ),
);

const toolsetsSchema = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z
    .array(oneOf(TOOLSETS), 'must be core, default or all, or a list of them')
    .min(1, 'must name at least one toolset'),
);

/** `goldfish.yaml` as it is written. Defaults are here and nowhere else. */
export const configSchema = z.strictObject(
  {
    project_name: z
      .string('must be a name')
      .refine(isName, 'must be a name of up to 64 letters, digits, "-" or "_" that is no reserved word'),
    slots: slotsSchema.default(['w1', 'w2', 'w3']),
    state_dir: pathSchema.default('.goldfish'),
    versions: section({
      max_file_mb: numberOf('a number of megabytes above 0 and at most 2000', {
        above: 0,
        max: 2000,
      }).default(50),
    }),
    mcp: section({
      toolsets: toolsetsSchema.default(['default']),
      max_wait_seconds: numberOf('a number of seconds from 1 to 50', { min: 1, max: 50 }).default(50),
    }),
    defaults: section({
      backend: oneOf(BACKENDS).default('auto'),
      timeout_seconds: secondsSchema.default(3600),
      stop_grace_seconds: numberOf('a number of seconds from 0 to 3600', { min: 0, max: 3600 }).default(10),
      max_parallel: numberOf('a whole number from 1, or null for no limit', { min: 1, whole: true })
        .nullable()
        .default(null),
    }),
    storage: section({
      backend: oneOf(['local']).default('local'),
      local: section({ path: pathSchema.nullable().default(null) }),
    }),
    process: section({
      sandbox: oneOf(['auto', 'bubblewrap', 'none']).default('auto'),
      python: pathSchema.default('python3'),
      max_parallel: numberOf('a whole number from 1, or null for the number of processors', {
        min: 1,
        whole: true,
      })
        .nullable()
        .default(null),
    }),
    audit: section({
      min_reason_length: numberOf('a whole number from 0 to 1000', {
        min: 0,
        max: 1000,
        whole: true,
      }).default(15),
    }),
  },
  'must be a mapping of keys',
);

export type ConfigFile = z.output<typeof configSchema>;

/** Keys the contract names and this version does not read yet: refused with a kinder sentence than a typing error. */
export const LATER_KEYS: ReadonlySet<string> = new Set([
  ...[
    'invariants',
    'data_roots',
    'budgets',
    'docker',
    'gce',
    'gcs',
    'profiles',
    'validation',
    'svs',
    'experiments',
  ],
  ...['metrics', 'notifications', 'backup', 'dashboard', 'versions.mirror', 'mcp.read_only', 'mcp.http'],
  ...['profile', 'launch_timeout_seconds', 'capacity_wait_seconds', 'heartbeat_timeout_seconds'].map(
    inDefaults,
  ),
  ...['log_sync_interval', 'max_restarts', 'monitors'].map(inDefaults),
  ...['storage.keep', 'storage.gcs'],
]);

function inDefaults(key: string): string {
  return `defaults.${key}`;
}

/** Every key that holds a value, dotted: `defaults.timeout_seconds`. */
export function configKeys(): string[] {
  return leafKeys(configSchema, []);
}

function leafKeys(schema: unknown, path: readonly string[]): string[] {
  const inner = unwrap(schema);
  if (!(inner instanceof z.ZodObject)) return [path.join('.')];
  return Object.entries(inner.shape).flatMap(([key, child]) => leafKeys(child, [...path, key]));
}
