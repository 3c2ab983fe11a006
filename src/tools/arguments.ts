import { z } from 'zod';
import { GoldfishError } from '../core/errors.ts';
import { isJsonObject } from '../core/json.ts';
import { clip } from '../core/names.ts';
import { nearest } from '../core/suggest.ts';
import type { ArgumentIssue, PreparedCall, Tool } from './define-tool.ts';

/** Of all arguments of one call together, in bytes of JSON. */
const MAX_ARGUMENT_BYTES = 256 * 1024;
const MAX_DEPTH = 32;
const MAX_PROBLEMS = 20;
/** A fix repeats the caller's arguments; beyond this it would cost more than it helps. */
const MAX_FIX_BYTES = 2048;

type Problem = { field: string; message: string; allowed?: string[]; did_you_mean?: string };
/** How one problem would be mended: a key renamed, or a value replaced. */
type Repair = { path: PropertyKey[]; rename?: string; value?: string };

/**
 * Checks a call's arguments before any work: size, depth, then the tool's strict schema.
 * Errors: INVALID_ARGUMENT naming every problem at once.
 */
export function acceptArguments(tool: Tool, raw: unknown): PreparedCall {
  const args = raw ?? {};
  refuseOversize(tool, args);
  refuseProto(tool, args);
  const prepared = tool.prepare(args);
  if ('call' in prepared) return prepared.call;
  throw invalidArguments(tool, args, prepared.issues);
}

function refuseOversize(tool: Tool, args: unknown): void {
  const refuse = (what: string): GoldfishError =>
    new GoldfishError('INVALID_ARGUMENT', {
      message: `${tool.name}: the arguments are ${what}.`,
      hint: 'Put large data into files of the slot, or into a source, and pass its name.',
      details: { max_bytes: MAX_ARGUMENT_BYTES, max_depth: MAX_DEPTH },
    });
  if (depthExceeds(args, MAX_DEPTH)) throw refuse(`nested deeper than ${MAX_DEPTH} levels`);
  const size = Buffer.byteLength(JSON.stringify(args) ?? '');
  if (size > MAX_ARGUMENT_BYTES)
    throw refuse(`${size} bytes long; at most ${MAX_ARGUMENT_BYTES} are accepted`);
}

/** Level by level instead of by recursion: what is measured may be deeper than the stack. */
function depthExceeds(value: unknown, limit: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > limit) return true;
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
  }
  return false;
}

/** A key that parsers drop without a word, below the top too: a call must not do less than it says. */
function refuseProto(tool: Tool, args: unknown): void {
  if (typeof args !== 'object' || args === null) return;
  if (!Object.hasOwn(args, '__proto__')) {
    for (const value of Object.values(args)) refuseProto(tool, value);
    return;
  }
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `${tool.name}: "__proto__" cannot be a key.`,
    hint: 'Choose another name for it.',
    details: { problems: [{ field: '__proto__', message: '"__proto__" cannot be a key' }] },
  });
}

function invalidArguments(tool: Tool, args: unknown, issues: ArgumentIssue[]): GoldfishError {
  // Unknown names first: the misspelt one explains the missing one.
  const sorted = [...issues].sort((a, b) => Number(isUnknownKeys(b)) - Number(isUnknownKeys(a)));
  const found = sorted.flatMap((issue) => describeIssue(tool.input, args, issue));
  const problems = found.map((item) => item.problem);
  const first = problems[0]?.message ?? 'the arguments are not accepted';
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const fix = repaired(tool, args, found);
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `${tool.name}: ${first}${more}.`,
    hint: argumentsHint(tool),
    details: { problems: problems.slice(0, MAX_PROBLEMS) },
    ...(fix ? { fix } : {}),
  });
}

function isUnknownKeys(issue: ArgumentIssue): boolean {
  return issue.code === 'unrecognized_keys';
}

/** `Arguments of run: workspace, reason, [stages], …` */
function argumentsHint(tool: Tool): string {
  const names = Object.entries(tool.input.shape).map(([key, schema]) =>
    z.safeParse(schema, undefined).success ? `[${key}]` : key,
  );
  return names.length === 0
    ? `${tool.name} takes no arguments.`
    : `Arguments of ${tool.name}: ${names.join(', ')}.`;
}

type Described = { problem: Problem; repair?: Repair };

function describeIssue(schema: z.ZodType, args: unknown, issue: ArgumentIssue): Described[] {
  const field = fieldName(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MAX_PROBLEMS).map((key) => describeUnknownKey(schema, args, issue.path, key));
  }
  const received = valueAt(args, issue.path);
  if (issue.code === 'invalid_value') {
    return [describeUnknownValue(field, issue.path, issue.values.map(String), received)];
  }
  return [{ problem: { field, message: `${quoteField(field)} ${reasonOf(issue, received)}` } }];
}

function describeUnknownKey(schema: z.ZodType, args: unknown, path: PropertyKey[], key: string): Described {
  const parent = schemaAt(schema, path);
  const known = parent instanceof z.ZodObject ? Object.keys(parent.shape) : [];
  const present = valueAt(args, path);
  // A known argument that is given already cannot be what was meant.
  const free = known.filter((name) => !(isJsonObject(present) && Object.hasOwn(present, name)));
  const meant = nearest(key, free);
  const field = fieldName([...path, key]);
  const message = `${quoteField(field)} is not a known argument`;
  if (meant === undefined) return { problem: { field, message, allowed: known } };
  return {
    problem: { field, message: `${message} (did you mean "${meant}"?)`, allowed: known, did_you_mean: meant },
    repair: { path: [...path, key], rename: meant },
  };
}

function describeUnknownValue(
  field: string,
  path: PropertyKey[],
  allowed: string[],
  received: unknown,
): Described {
  const meant = typeof received === 'string' ? nearest(received, allowed) : undefined;
  const is = received === undefined ? 'is required' : `is ${show(received)}`;
  return {
    problem: {
      field,
      message: `${quoteField(field)} ${is}; allowed are ${allowed.join(', ')}`,
      allowed,
      ...(meant === undefined ? {} : { did_you_mean: meant }),
    },
    ...(meant === undefined ? {} : { repair: { path, value: meant } }),
  };
}

function reasonOf(issue: ArgumentIssue, received: unknown): string {
  if (issue.code === 'invalid_type') {
    if (received === undefined) return 'is required';
    return `must be ${article(issue.expected)}, not ${show(received)}`;
  }
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}${unit(issue.origin)}`;
  if (issue.code === 'too_small') return `must be at least ${issue.minimum}${unit(issue.origin)}`;
  return issue.message;
}

function unit(origin: string): string {
  if (origin === 'string') return ' characters long';
  return origin === 'array' || origin === 'set' ? ' items long' : '';
}

const TYPE_WORDS: Record<string, string> = {
  int: 'a whole number',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function article(expected: string): string {
  return TYPE_WORDS[expected] ?? `a ${expected}`;
}

function show(value: unknown): string {
  if (typeof value === 'string') return `"${clip(value, 60)}"`;
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'an object' : `${value}`;
}

function quoteField(field: string): string {
  return field === '' ? 'the arguments' : `"${field}"`;
}

function fieldName(path: readonly PropertyKey[]): string {
  return clip(path.map(String).join('.'), 120);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined;
    current = Reflect.get(current, key);
  }
  return current;
}

/** The schema that governs the value at `path`, through optional and default wrappers. */
function schemaAt(schema: unknown, path: readonly PropertyKey[]): unknown {
  let current: unknown = schema;
  for (const key of path) {
    current = unwrap(current);
    if (current instanceof z.ZodObject) current = current.shape[String(key)];
    else if (current instanceof z.ZodArray) current = current.element;
    else if (current instanceof z.ZodRecord) current = current.valueType;
    else return undefined;
  }
  return unwrap(current);
}

function unwrap(schema: unknown): unknown {
  let current = schema;
  while (
    current instanceof z.ZodOptional ||
    current instanceof z.ZodDefault ||
    current instanceof z.ZodNullable
  ) {
    current = current.unwrap();
  }
  return current;
}

/** The same call mended, where the mended one is accepted. */
function repaired(
  tool: Tool,
  args: unknown,
  found: Described[],
): { tool: string; arguments: Record<string, unknown> } | undefined {
  const repairs = found.flatMap((item) => (item.repair ? [item.repair] : []));
  if (repairs.length === 0 || !isJsonObject(args)) return undefined;
  const copy = structuredClone(args);
  for (const repair of repairs) applyRepair(copy, repair);
  if ('issues' in tool.prepare(copy) || JSON.stringify(copy).length > MAX_FIX_BYTES) return undefined;
  return { tool: tool.name, arguments: copy };
}

function applyRepair(root: object, repair: Repair): void {
  const parent = valueAt(root, repair.path.slice(0, -1));
  const key = repair.path.at(-1);
  if (typeof parent !== 'object' || parent === null || key === undefined) return;
  if (repair.rename === undefined) {
    Reflect.set(parent, key, repair.value);
    return;
  }
  Reflect.set(parent, repair.rename, Reflect.get(parent, key));
  Reflect.deleteProperty(parent, key);
}
