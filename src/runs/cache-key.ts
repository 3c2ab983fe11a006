import { canonicalJson, hashJson, type JsonObject } from '../core/json.ts';
import type { SignalType } from '../core/signals.ts';
import type { StagePlan } from '../core/stage-plan.ts';

/** What a stage's inputs are by name, as `inputIdentity` says it; all must be known before a key exists. */
export type InputIdentities = Record<string, string>;

/** The type decides what a program is given for the same bytes: another file name, a folder. */
export function inputIdentity(input: { type: SignalType; hash: string }): string {
  return `${input.type} ${input.hash}`;
}

/** Everything that decides what a stage computes, by the word a miss is explained with. */
function cacheParts(plan: StagePlan, inputs: InputIdentities) {
  return {
    command: plan.command,
    outputs: plan.outputs,
    config: plan.config,
    inputs,
    // The program sees how many ranks it is; the rest of compute decides how fast it is, not what it makes.
    ...(plan.compute.nodes === 1 ? {} : { nodes: plan.compute.nodes }),
    image: plan.environmentKey,
    environment: plan.environment,
    // Names only: a value that is renewed changes no result. Left out where there are none, as in plans of 0.1.
    ...(Object.keys(plan.secrets).length > 0 ? { secrets: plan.secrets } : {}),
    code: plan.codeHash,
    // A repetition is executed: one that took the result of another would say nothing about the noise.
    ...(plan.replicate ? { replicate: plan.replicate } : {}),
    // What it goes on from may have been made with another config.
    ...(plan.startFrom
      ? { checkpoints: plan.startFrom.checkpoints.map(({ id, hash }) => `${id} ${hash}`) }
      : {}),
  };
}

export function cacheKey(plan: StagePlan, inputs: InputIdentities): string {
  return hashJson(cacheParts(plan, inputs));
}

type Planned = { plan: StagePlan; inputs: InputIdentities };

/** What differs between what would run and what ran, by part; of configs and inputs the keys. */
export type Difference = { part: string; keys: string[]; text: string };

export function differencesOf(now: Planned, then: Planned): Difference[] {
  const a = cacheParts(now.plan, now.inputs);
  const b = cacheParts(then.plan, then.inputs);
  const parts = new Set([...Object.keys(a), ...Object.keys(b)] as (keyof typeof a)[]);
  const differing = [...parts].filter(
    (part) => canonicalJson(a[part] ?? null) !== canonicalJson(b[part] ?? null),
  );
  return differing.map((part) => {
    if (part === 'config') {
      const text = `config (${describeChanges(b.config, a.config)})`;
      return { part, keys: changedKeys(b.config, a.config), text };
    }
    if (part === 'inputs') {
      const keys = changedKeys(b.inputs, a.inputs);
      return { part, keys, text: `inputs (${keys.join(', ')})` };
    }
    return { part, keys: [], text: part };
  });
}

/** Names what differs between what would run and what ran: `config (k: 3 → 5)`, `inputs (features)`. */
export function explainDifference(now: Planned, then: Planned): string[] {
  return differencesOf(now, then).map(({ text }) => text);
}

function changedKeys(from: JsonObject, to: JsonObject): string[] {
  const keys = new Set([...Object.keys(from), ...Object.keys(to)]);
  return [...keys].filter((key) => valueText(from, key) !== valueText(to, key)).sort();
}

/** The value's own text; undefined where the key is absent. A key may be called `constructor`. */
function valueText(object: JsonObject, key: string): string | undefined {
  return Object.hasOwn(object, key) ? canonicalJson(object[key]) : undefined;
}

/** At most three changes, each value clipped: an explanation, not a diff. */
function describeChanges(from: JsonObject, to: JsonObject): string {
  const keys = changedKeys(from, to);
  const shown = keys
    .slice(0, 3)
    .map((key) => `${key}: ${brief(valueText(from, key))} → ${brief(valueText(to, key))}`);
  return keys.length > 3 ? `${shown.join(', ')}, and ${keys.length - 3} more` : shown.join(', ');
}

function brief(text = 'absent'): string {
  return text.length <= 40 ? text : `${text.slice(0, 39)}…`;
}
