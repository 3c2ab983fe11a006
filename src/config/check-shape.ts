import { z } from 'zod';
import { clip } from '../core/names.ts';
import { nearest } from '../core/suggest.ts';
import { GCE, GCE_HINT } from './gce-keys.ts';
import type { Locate, Path, ProblemList } from './problem.ts';

export type ShapeCheck = {
  value: unknown;
  /** Where the value stands in its file. */
  at: Path;
  locate: Locate;
  problems: ProblemList;
  /** What to do about a wrong value where nothing better is known. */
  hint: string;
  /** Keys of the contract that this version does not know yet, dotted from `at`. */
  later?: ReadonlySet<string>;
};

/**
 * Parses a value with its schema. Every issue becomes a problem at the line of the key or value; undefined where
 * there is any. Error texts of the schemas are written to follow a name: "must be …".
 */
export function checkShape<S extends z.ZodType>(schema: S, check: ShapeCheck): z.output<S> | undefined {
  const result = schema.safeParse(check.value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    if (check.problems.full()) break;
    if (issue.code === 'unrecognized_keys') reportUnknownKeys(schema, issue, check);
    else reportIssue(issue, check);
  }
  return undefined;
}

function reportUnknownKeys(
  schema: z.ZodType,
  issue: { path: PropertyKey[]; keys: string[] },
  check: ShapeCheck,
): void {
  const inner = pathOf(issue.path);
  const known = knownKeys(schema, inner);
  for (const key of issue.keys) {
    if (check.problems.full()) return;
    const place = check.locate([...check.at, ...inner, key], 'key');
    if (check.later?.has([...inner, key].join('.')) === true) {
      check.problems.add(place, laterProblem(`"${key}"`));
      continue;
    }
    check.problems.add(place, unknownName('key', key, known));
  }
}

function laterProblem(what: string): { message: string; hint: string } {
  return { message: `${what} arrives in a later version.`, hint: 'Remove it for now.' };
}

/** `Unknown stage "trian".` with the nearest valid name and all of them. */
export function unknownName(
  noun: string,
  typed: string,
  known: readonly string[],
): { message: string; hint: string; allowed: string[] } {
  const near = nearest(typed, known);
  const list = clip(known.join(', '), 300);
  const all = known.length === 0 ? `There is no ${noun} yet.` : `Known: ${list}.`;
  const hint = near === undefined ? all : `Did you mean "${near}"?`;
  return { message: `Unknown ${noun} "${clip(typed)}".`, hint, allowed: known.slice(0, 100) };
}

function reportIssue(issue: z.core.$ZodIssue, check: ShapeCheck): void {
  const inner = pathOf(issue.path);
  const path = [...check.at, ...inner];
  const name = dotted(inner.length > 0 ? inner : ownName(check.at));
  const value = valueAt(check.value, inner);
  if (value === undefined) {
    check.problems.add(check.locate(path), {
      message: `"${name}" is missing.`,
      hint: `It ${issue.message}.`,
    });
    return;
  }
  const allowed = issue.code === 'invalid_value' ? issue.values.map(String) : undefined;
  check.problems.add(check.locate(path), {
    message: `"${name}" ${issue.message}${contrast(value, issue)}.`,
    hint: hintFor(value, issue, allowed) ?? check.hint,
    ...(allowed === undefined ? {} : { allowed }),
  });
}

/** What stands there instead; said of a list or mapping only where another type is wanted. */
function contrast(value: unknown, issue: z.core.$ZodIssue): string {
  const compound = typeof value === 'object' && value !== null;
  return compound && issue.code !== 'invalid_type' ? '' : `, not ${describe(value)}`;
}

/** Words the contract allows, or the earlier system did, and this version does not know yet. */
const LATER_WORDS: ReadonlySet<unknown> = new Set(['gcs', 'kubernetes', 's3', 'azure']);
/** Words of the earlier system that have another name now. */
const RENAMED_WORDS: Readonly<Record<string, string>> = { local: 'docker' };

function hintFor(
  value: unknown,
  issue: z.core.$ZodIssue,
  allowed: readonly string[] | undefined,
): string | undefined {
  const wanted = issue.code === 'invalid_type' ? issue.expected : undefined;
  if (wanted === 'string' && (typeof value === 'number' || typeof value === 'boolean'))
    return 'Put it in quotes.';
  if (typeof value !== 'string') return undefined;
  if (wanted === 'boolean') return 'Write true or false, without quotes.';
  if (wanted === 'number' && /^\d/.test(value) && /^must be a (whole )?number/.test(issue.message)) {
    return 'Write the number alone, without a unit and without quotes.';
  }
  if (allowed === undefined) return undefined;
  // Known, and not there without its section.
  if (value === GCE && allowed.includes('process')) return GCE_HINT;
  if (LATER_WORDS.has(value)) return `"${value}" is not built yet; use ${allowed.join(' or ')}.`;
  const renamed = Object.hasOwn(RENAMED_WORDS, value) ? RENAMED_WORDS[value] : undefined;
  if (renamed !== undefined && allowed.includes(renamed)) return `"${value}" is called "${renamed}" now.`;
  const near = nearest(value, allowed);
  return near === undefined ? undefined : `Did you mean "${near}"?`;
}

/** Numbers in zod paths are list positions, symbols do not occur in what was read from text. */
function pathOf(path: readonly PropertyKey[]): (string | number)[] {
  return path.map((part) => (typeof part === 'symbol' ? String(part) : part));
}

/** The last key of a path, with the position in its list: `stages[2]`. */
function ownName(path: Path): Path {
  return path.slice(typeof path.at(-1) === 'number' ? -2 : -1);
}

/** `stages[2].name`; the top of a file has no name of its own. */
function dotted(path: Path): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${clip(part)}`)).join('');
  return text.replace(/^\./, '') || 'the file';
}

function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined;
    current = Reflect.get(current, part);
  }
  return current;
}

/** A value as it stands in a message: never long, never on several lines. */
export function describe(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? `"${clip(value, 40)}"` : String(value);
}

/** The keys a strict object of the schema knows, found through optional values and preprocessing. */
function knownKeys(schema: z.ZodType, path: Path): string[] {
  let current: unknown = unwrap(schema);
  for (const part of path) {
    if (current instanceof z.ZodObject) current = unwrap(current.shape[String(part)]);
    else if (current instanceof z.ZodArray) current = unwrap(current.element);
    else if (current instanceof z.ZodRecord) current = unwrap(current.valueType);
  }
  return current instanceof z.ZodObject ? Object.keys(current.shape) : [];
}

export function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return unwrap(schema.unwrap());
  }
  return schema instanceof z.ZodPipe ? unwrap(schema.out) : schema;
}
