import { z } from 'zod';
import { parseMemorySize } from '../core/memory-size.ts';
import { isName } from '../core/names.ts';

/** The kinds of values config files hold. Error texts follow the key's name: `"slots" must be …`. */

/** A year: longer is a mistake in the unit. */
const MAX_SECONDS = 31_536_000;
const MIN_MEMORY = 16 * 1024 * 1024;

/** A section may stand there with every key commented out. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.preprocess((value) => value ?? {}, z.strictObject(shape, 'must be a mapping'));
}

export function numberOf(
  expected: string,
  limits: { min?: number; above?: number; max?: number; whole?: true },
) {
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

export const restartsSchema = numberOf('a whole number from 0 to 100', { min: 0, max: 100, whole: true });

export const secondsSchema = numberOf('a number of seconds above 0 and at most a year', {
  above: 0,
  max: MAX_SECONDS,
});

/** 0: every place is tried once. */
export const capacityWaitSchema = numberOf('a number of seconds from 0 to a year', {
  min: 0,
  max: MAX_SECONDS,
});

/** Shorter than the library's own beat would end healthy stages. */
export const heartbeatSchema = numberOf('a number of seconds from 1 to a year', { min: 1, max: MAX_SECONDS });

const MEMORY = 'must be an amount of memory such as 512m or 4g, or a number of bytes, and at least 16m';

/** Read as bytes. */
export const memorySchema = z.preprocess(
  (value) => parseMemorySize(value) ?? value,
  z.number(MEMORY).min(MIN_MEMORY, MEMORY),
);

export const cpusSchema = numberOf('a number of processors above 0 and at most 1024', {
  above: 0,
  max: 1024,
});
export const gpusSchema = numberOf('a whole number of GPUs from 0 to 64', { min: 0, max: 64, whole: true });
export const pidsSchema = numberOf('a whole number of processes from 10 to 1000000', {
  min: 10,
  max: 1_000_000,
  whole: true,
});
export const networkSchema = oneOf(['none', 'bridge']);

export const pathSchema = z
  .string('must be a path')
  .refine((path) => path.trim() !== '' && !path.includes('\0'), 'must be a path')
  .refine((path) => !path.startsWith('~'), 'must be written out from "/" or relative to the project');

export const nameSchema = z
  .string('must be a name')
  .refine(isName, 'must be a name of up to 64 letters, digits, "-" or "_" that is no reserved word');

const IMAGE = 'must be the name of an image such as python:3.12-slim';
const DOMAIN = '[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?';
const PART = '[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*';
const TAG = '[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}';
const DIGEST = '[a-z][a-z0-9]*:[0-9a-f]{32,128}';
/** An image reference as the OCI distribution has them: `[registry/]path[:tag][@digest]`. */
const REFERENCE = new RegExp(`^(?:${DOMAIN}/)?${PART}(?:/${PART})*(?::${TAG})?(?:@${DIGEST})?$`);
export const imageSchema = z.string(IMAGE).max(255, IMAGE).regex(REFERENCE, IMAGE);

/** A repository of a registry that is named, without tag: a first part without dot or port would be a user of Docker's. */
export const REPOSITORY_PATTERN = new RegExp(`^(?=[^/]*[.:]|localhost/)${DOMAIN}(?:/${PART})+$`);
