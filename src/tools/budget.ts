import { isJsonObject, type JsonObject } from '../core/json.ts';
import { estimateTokens } from './tokens.ts';

/** No answer may cost more than 8,000 tokens; the estimate can be a quarter too low, so it is held to 6,000. */
export const MAX_RESULT_TOKENS = 6_000;
/** What an answer to a call without an explicit `limit` may cost. */
export const DEFAULT_RESULT_TOKENS = 1_900;
/** Of that, what is not rows: names of fields, cursors, counts. */
const ENVELOPE_TOKENS = 200;

/** What the rows, lines or text of a page may cost, so that the whole answer is never cut behind its own cursor. */
export function pageBudget(asked: boolean): number {
  return (asked ? MAX_RESULT_TOKENS : DEFAULT_RESULT_TOKENS) - ENVELOPE_TOKENS;
}

/** Arguments that ask for more than a default answer. */
const ASKING_FOR_MORE = ['limit', 'cursor', 'include', 'tail', 'max_points', 'names', 'paths', 'replicate'];

/** Who names more than this many things asks for a row of each. */
const MANY_TARGETS = 10;

/** What the answer to a call may cost: little, unless the caller said how much it wants. */
export function resultBudget(args: unknown): number {
  if (!isJsonObject(args)) return DEFAULT_RESULT_TOKENS;
  const { targets } = args;
  const many = Array.isArray(targets) && targets.length > MANY_TARGETS;
  const asked = many || ASKING_FOR_MORE.some((key) => args[key] !== undefined);
  return asked ? MAX_RESULT_TOKENS : DEFAULT_RESULT_TOKENS;
}

/** Strings shorter than this and lists of fewer items are never cut. */
const MIN_STRING = 200;
const MIN_LIST = 3;
/** Objects of fewer keys have a shape of their own; larger ones are records of many like things. */
const MIN_RECORD = 40;

/**
 * Fetches a page of at most `limit` rows that fits the budget. Where it does not fit it is fetched again with fewer
 * rows, so the cursor stays the service's own.
 */
export async function fitPage<Page>(request: {
  limit: number | undefined;
  fetch: (limit: number) => Promise<Page> | Page;
  rows: (page: Page) => readonly unknown[];
}): Promise<Page> {
  const budget = pageBudget(request.limit !== undefined);
  const page = await request.fetch(request.limit ?? 20);
  const fitting = fittingCount(request.rows(page), budget);
  return fitting < request.rows(page).length ? request.fetch(fitting) : page;
}

/** How many of the first items cost at most `budget` tokens as JSON; at least one. */
export function fittingCount(items: readonly unknown[], budget: number): number {
  let spent = 0;
  for (const [index, item] of items.entries()) {
    spent += estimateTokens(JSON.stringify(item) ?? '');
    if (spent > budget) return Math.max(1, index);
  }
  return items.length;
}

/**
 * The last guard for what no page size foresaw: the largest strings and lists are halved until the whole fits, and
 * a `note` says so. Values are only shortened, so the result still fits its schema.
 */
export function fitResult(
  structured: Record<string, unknown>,
  budget = MAX_RESULT_TOKENS,
): Record<string, unknown> {
  if (estimateTokens(JSON.stringify(structured)) <= budget) return structured;
  const copy = structuredClone(structured);
  while (estimateTokens(JSON.stringify(copy)) > budget && halveLargest(copy)) {
    // Each round halves one value; the loop ends when the whole fits or nothing is left to cut.
  }
  copy['note'] =
    'The answer was too long: the longest texts and lists are cut. Ask for less with limit, cursor or filters.';
  return copy;
}

type Place = { parent: object; key: string; value: string | unknown[] | JsonObject; size: number };

function halveLargest(root: Record<string, unknown>): boolean {
  let largest: Place | undefined;
  for (const place of places(root)) if (place.size > (largest?.size ?? 0)) largest = place;
  if (largest === undefined) return false;
  const { parent, key, value } = largest;
  Reflect.set(parent, key, halfOf(value));
  return true;
}

function halfOf(value: Place['value']): Place['value'] {
  if (typeof value === 'string') {
    return `${value.slice(0, Math.floor(value.length / 2)).toWellFormed()}… [cut]`;
  }
  if (Array.isArray(value)) return value.slice(0, Math.ceil(value.length / 2));
  const entries = Object.entries(value);
  return Object.fromEntries(entries.slice(0, Math.ceil(entries.length / 2)));
}

/** Every value that may be cut, with its weight; a list weighs less than the text in it, so texts go first. */
function* places(parent: object): Generator<Place> {
  for (const [key, value] of Object.entries(parent)) {
    if (typeof value === 'string' && value.length > MIN_STRING) {
      yield { parent, key, value, size: value.length };
    } else if (Array.isArray(value)) {
      if (value.length > MIN_LIST) yield { parent, key, value, size: JSON.stringify(value).length / 2 };
      yield* places(value);
    } else if (isJsonObject(value)) {
      const many = Object.keys(value).length > MIN_RECORD;
      if (many) yield { parent, key, value, size: JSON.stringify(value).length / 2 };
      yield* places(value);
    }
  }
}
