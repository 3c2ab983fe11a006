import { z } from 'zod';
import { checkShape, describe } from '../config/check-shape.ts';
import { checkEnvironmentReferences, referencedName } from '../config/environment-reference.ts';
import {
  capacityWaitSchema,
  cpusSchema,
  gpusSchema,
  heartbeatSchema,
  memorySchema,
  numberOf,
  oneOf,
  secondsSchema,
} from '../config/fields.ts';
import { type OwnMonitors, ownMonitorsSchema } from '../config/monitors.ts';
import type { Locate, ProblemList } from '../config/problem.ts';
import { isJsonObject, type Json, type JsonObject } from '../core/json.ts';
import { clip, ENVIRONMENT_NAME_PATTERN } from '../core/names.ts';
import type { PipelineLookups, StageConfigFile } from './pipeline.ts';

/** What a stage's config says, override included and without defaults: what it leaves out is undefined. */
export type StageSettings = {
  /** Without reserved keys: what the stage sees. */
  config: JsonObject;
  compute: z.output<ReturnType<typeof computeSchema>>;
  /** Values as they stand there. */
  environment: Record<string, string>;
  /** Values that are read at launch: by name, the name each has in the environment it comes from. */
  secrets: Record<string, string>;
};

/** The kernel refuses a program whose environment holds a longer value. */
const MAX_VALUE_BYTES = 64 * 1024;
const MAX_NAMES = 256;

/** Reserved by the contract: as free parameters they would change their meaning one day. */
const LATER_KEYS = ['metrics'];
const NODES = numberOf('a whole number of ranks from 1 to 1024', { min: 1, max: 1024, whole: true });
const RESERVED_KEYS: ReadonlySet<string> = new Set(['compute', 'environment', ...LATER_KEYS]);

/** A key set to null, in a file or by an override, is a key left out: the default holds. */
function computeSchema(backends: readonly string[]) {
  return z.preprocess(
    (value) => {
      if (value === null) return {};
      return isJsonObject(value)
        ? Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null))
        : value;
    },
    z.strictObject(
      {
        profile: z.string('must be the name of a profile').optional(),
        backend: oneOf(backends).optional(),
        nodes: NODES.optional(),
        timeout_seconds: secondsSchema.optional(),
        heartbeat_timeout_seconds: heartbeatSchema.optional(),
        capacity_wait_seconds: capacityWaitSchema.optional(),
        memory: memorySchema.optional(),
        cpus: cpusSchema.optional(),
        gpus: gpusSchema.optional(),
        monitors: ownMonitorsSchema.optional(),
      },
      'must be a mapping',
    ),
  );
}

export type StageConfigCheck = {
  /** File and override after the one merge. */
  merged: JsonObject;
  locate: Locate;
  plainAt: StageConfigFile['plainAt'];
  problems: ProblemList;
  lookups: PipelineLookups;
};

/** Reads a merged stage config; problems go to the list, and what has one is left out of the answer. */
export function readStageConfig(check: StageConfigCheck): StageSettings {
  const { merged, locate, problems, lookups } = check;
  checkEnvironmentReferences(merged, [], { locate, problems, allowed: ([first]) => first === 'environment' });
  for (const key of LATER_KEYS) {
    if (!Object.hasOwn(merged, key)) continue;
    problems.add(locate([key], 'key'), {
      message: `"${key}" is reserved for a later version.`,
      hint: 'Use another name for this parameter.',
    });
  }
  const compute =
    merged['compute'] === undefined
      ? {}
      : checkShape(computeSchema(lookups.backends), {
          value: merged['compute'],
          at: ['compute'],
          locate,
          problems,
          hint: 'Change the value, or remove the key for its default.',
        });
  const named = isJsonObject(merged['compute']) ? merged['compute']['profile'] : undefined;
  if (typeof named === 'string') checkProfile(check, named);
  checkWatched(check, compute?.monitors);
  return {
    config: Object.fromEntries(Object.entries(merged).filter(([key]) => !RESERVED_KEYS.has(key))),
    compute: compute ?? {},
    ...readEnvironment(check, merged['environment']),
  };
}

function checkProfile({ locate, problems, lookups }: StageConfigCheck, name: string): void {
  const refusal = lookups.profiles.refuse(name);
  if (refusal === undefined) return;
  const { message, hint, allowed } = refusal;
  problems.add(locate(['compute', 'profile']), { message, hint, allowed });
}

/** A stage that changes the action to warn or stop and names nothing to watch would be watched by nobody. */
function checkWatched({ locate, problems, lookups }: StageConfigCheck, own: OwnMonitors | undefined): void {
  if (lookups.monitors === null) return;
  const { stall, divergence } = lookups.monitors;
  const rules = [
    {
      rule: 'stall',
      action: own?.stall.action,
      given: stall.action,
      watched: own?.stall.after_seconds === undefined ? stall.afterSeconds : own.stall.after_seconds,
      missing: 'no time to wait',
      hint: 'Add after_seconds beside it, or set action: off.',
    },
    {
      rule: 'divergence',
      action: own?.divergence.action,
      given: divergence.action,
      watched: own?.divergence.metric === undefined ? divergence.metric : own.divergence.metric,
      missing: 'no metric to watch',
      hint: 'Add metric: NAME beside it, or set action: off.',
    },
  ];
  for (const { rule, action, given, watched, missing, hint } of rules) {
    if (action === undefined || action === given || action === 'off' || watched !== null) continue;
    const message = `${rule} is to ${action}, and ${missing} is set.`;
    problems.add(locate(['compute', 'monitors', rule, 'action']), { message, hint });
  }
}

type Environment = Pick<StageSettings, 'environment' | 'secrets'>;

function readEnvironment(check: StageConfigCheck, value: Json | undefined): Environment {
  const { locate, problems } = check;
  const nothing: Environment = { environment: {}, secrets: {} };
  if (value === undefined || value === null) return nothing;
  if (!isJsonObject(value)) {
    problems.add(locate(['environment']), {
      message: `"environment" must be a mapping from names to values, not ${describe(value)}.`,
      hint: 'Write "NAME: value" for each.',
    });
    return nothing;
  }
  const entries = Object.entries(value);
  if (entries.length > MAX_NAMES) {
    problems.add(locate(['environment'], 'key'), {
      message: `"environment" has ${entries.length} names; at most ${MAX_NAMES} are passed on.`,
      hint: 'Pass parameters as config keys: the stage reads them with config().',
    });
    return nothing;
  }
  const environment: Record<string, string> = {};
  const secrets: Record<string, string> = {};
  for (const [name, item] of entries) {
    const refusal = refusedName(name);
    if (refusal) problems.add(locate(['environment', name], 'key'), refusal);
    const reference = referencedName(item);
    const text = reference === undefined ? readValue(check, name, item) : undefined;
    if (refusal) continue;
    if (reference !== undefined) secrets[name] = reference;
    else if (text !== undefined) environment[name] = text;
  }
  return { environment, secrets };
}

function refusedName(name: string): { message: string; hint: string } | undefined {
  if (!ENVIRONMENT_NAME_PATTERN.test(name)) {
    const message = `"${clip(name)}" is not a valid environment name.`;
    return { message, hint: 'Use capital letters, digits and "_", not starting with a digit.' };
  }
  if (!name.startsWith('GOLDFISH_')) return undefined;
  const message = `"${clip(name)}" is reserved: names with GOLDFISH_ are set by Goldfish.`;
  return { message, hint: 'Use another name.' };
}

/** Values are never shown: people do put secrets here. */
function readValue(check: StageConfigCheck, name: string, value: Json): string | undefined {
  const refuse = (why: string, hint: string): undefined => {
    const message = `The value of ${clip(name)} ${why}.`;
    check.problems.add(check.locate(['environment', name]), { message, hint });
    return undefined;
  };
  if (value === null) return refuse('is empty', `Write ${clip(name)}: "" for an empty text.`);
  if (typeof value === 'object')
    return refuse('is no single value', 'Write one text, number, true or false.');
  const text = String(value);
  const plain = check.plainAt(['environment', name]);
  if (plain !== undefined && plain !== text) {
    return refuse('would change when read as a number, true or false', 'Put it in quotes.');
  }
  if (text.includes('\0')) return refuse('has a null character in it', 'Remove it.');
  if (Buffer.byteLength(text) > MAX_VALUE_BYTES) {
    return refuse(`is longer than ${MAX_VALUE_BYTES} bytes`, 'Keep it in a file of the workspace.');
  }
  return text;
}
