import { z } from 'zod';
import { isName } from '../core/names.ts';
import { unwrap } from './check-shape.ts';
import { referencedName } from './environment-reference.ts';
import {
  capacityWaitSchema,
  cpusSchema,
  gpusSchema,
  heartbeatSchema,
  imageSchema,
  memorySchema,
  nameSchema,
  networkSchema,
  numberOf,
  oneOf,
  pathSchema,
  pidsSchema,
  restartsSchema,
  secondsSchema,
  section,
} from './fields.ts';
import { gceSchema, gcsSchema } from './gce-schema.ts';
import { monitorsSchema } from './monitors.ts';

/** Backends a project can name; `auto` takes the best one that answers. */
export const BACKENDS = ['auto', 'process', 'docker', 'gce'] as const;
const TOOLSETS = ['core', 'default', 'all'] as const;
const MAX_SLOTS = 64;

const SLOTS = `must be a number from 1 to ${MAX_SLOTS} or a list of up to ${MAX_SLOTS} names`;
const slotsSchema = z.preprocess(
  (value) => {
    const count = typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= MAX_SLOTS;
    return count ? Array.from({ length: value }, (_, index) => `w${index + 1}`) : value;
  },
  z
    .array(nameSchema, SLOTS)
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

const ROOTS = 'must be a list of up to 64 folders';
const rootsSchema = z.array(pathSchema, ROOTS).max(64, ROOTS);

const HOST = 'must be an address such as unix:///var/run/docker.sock or tcp://127.0.0.1:2375';
/** No user and password: what is written here is shown. */
export const ADDRESS_PATTERN = /^(unix:\/\/\/\S+|(tcp|http):\/\/[^/\s@]+\/?)$/;
const hostSchema = z
  .string(HOST)
  .refine((host) => ADDRESS_PATTERN.test(host) || referencedName(host) !== undefined, HOST);

const USER = 'must be "user:group" as two numbers above 0, such as "1000:1000"';
const userSchema = z.string(USER).regex(/^[1-9]\d{0,8}:[1-9]\d{0,8}$/, USER);

const parallelSchema = numberOf('a whole number from 1, or null for the number of processors', {
  min: 1,
  whole: true,
})
  .nullable()
  .default(null);

/** What is kept for so many days after it was last used, or for ever. */
function daysSchema(days: number) {
  return numberOf('a number of days from 0, or null to keep it', { min: 0, max: 36_500 })
    .nullable()
    .default(days);
}

/** Mappings by names of the user's choice. Zod would skip a key it does not like the look of. */
function byName<Value extends z.ZodType>(value: Value, what: string) {
  const error = `must be a mapping from profiles to ${what}`;
  const named = z
    .record(z.string(), value, error)
    .refine((entries) => Object.keys(entries).every(isName), 'must have profile names for keys');
  return z.preprocess((given) => given ?? {}, named);
}

const profileSchema = section({
  description: z.string('must be text').max(500, 'must have at most 500 characters').nullish(),
  backend: oneOf(BACKENDS).nullish(),
  memory: memorySchema.nullish(),
  cpus: cpusSchema.nullish(),
  gpus: gpusSchema.nullish(),
  pids_limit: pidsSchema.nullish(),
  network: networkSchema.nullish(),
  image: imageSchema.nullish(),
  price_per_hour: numberOf('an amount of money from 0', { min: 0, max: 1_000_000 }).nullish(),
});

/** `goldfish.yaml` as it is written. Defaults are here and nowhere else. */
export const configSchema = z.strictObject(
  {
    project_name: nameSchema,
    slots: slotsSchema.default(['w1', 'w2', 'w3']),
    state_dir: pathSchema.default('.goldfish'),
    data_roots: rootsSchema.default([]),
    versions: section({
      max_file_mb: numberOf('a number of megabytes above 0 and at most 2000', {
        above: 0,
        max: 2000,
      }).default(50),
    }),
    mcp: section({
      toolsets: toolsetsSchema.default(['default']),
      read_only: z.boolean('must be true or false').default(false),
      max_wait_seconds: numberOf('a number of seconds from 1 to 50', { min: 1, max: 50 }).default(50),
    }),
    defaults: section({
      backend: oneOf(BACKENDS).default('auto'),
      profile: nameSchema.default('default'),
      timeout_seconds: secondsSchema.default(3600),
      launch_timeout_seconds: secondsSchema.default(2700),
      capacity_wait_seconds: capacityWaitSchema.default(600),
      heartbeat_timeout_seconds: heartbeatSchema.nullable().default(null),
      log_sync_interval: numberOf('a number of seconds from 1 to an hour', { min: 1, max: 3600 }).default(10),
      stop_grace_seconds: numberOf('a number of seconds from 0 to 3600', { min: 0, max: 3600 }).default(10),
      max_parallel: numberOf('a whole number from 1, or null for no limit', { min: 1, whole: true })
        .nullable()
        .default(null),
      max_restarts: restartsSchema.default(0),
      monitors: monitorsSchema,
    }),
    storage: section({
      backend: oneOf(['local']).default('local'),
      local: section({ path: pathSchema.nullable().default(null) }),
      gcs: gcsSchema,
      keep: section({
        days_failed_runs: daysSchema(30),
        days_stage_checkpoints: daysSchema(14),
        days_unused_environments: daysSchema(30),
        days_unused_checkouts: daysSchema(7),
        max_gb: numberOf('a number of gigabytes above 0, or null for no limit', { above: 0, max: 1_000_000 })
          .nullable()
          .default(null),
        min_free_gb: numberOf('a number of gigabytes from 0', { min: 0, max: 1_000_000 }).default(1),
      }),
    }),
    process: section({
      sandbox: oneOf(['auto', 'bubblewrap', 'none']).default('auto'),
      python: pathSchema.default('python3'),
      max_parallel: parallelSchema,
    }),
    docker: section({
      host: hostSchema.nullable().default(null),
      base_image: imageSchema.default('python:3.12-slim'),
      images: byName(imageSchema, 'images'),
      network: networkSchema.default('none'),
      memory: memorySchema.default(4 * 1024 ** 3),
      cpus: cpusSchema.default(2),
      pids_limit: pidsSchema.default(100),
      user: userSchema.default('1000:1000'),
      max_parallel: parallelSchema,
      gpus: z
        .union([z.literal('auto'), gpusSchema], 'must be auto or a whole number from 0 to 64')
        .default('auto'),
    }),
    gce: gceSchema,
    profiles: byName(profileSchema, 'amounts of compute'),
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
    'budgets',
    'validation',
    'experiments',
    'metrics',
    'notifications',
    'backup',
    'dashboard',
  ],
  ...['versions.mirror', 'mcp.http', 'docker.warm_pool', 'gce.warm_pool.preserve_paths'],
  ...['sources_prefix', 'artifacts_prefix'].map((key) => `storage.gcs.${key}`),
]);

/** Every key that holds a value, dotted: `defaults.timeout_seconds`; `*` stands for a name of the user's choice. */
export function configKeys(): string[] {
  return leafKeys(configSchema, []);
}

function leafKeys(schema: unknown, path: readonly string[]): string[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodRecord) return leafKeys(inner.valueType, [...path, '*']);
  if (!(inner instanceof z.ZodObject)) return [path.join('.')];
  return Object.entries(inner.shape).flatMap(([key, child]) => leafKeys(child, [...path, key]));
}
