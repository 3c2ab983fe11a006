import { z } from 'zod';
import { NAME_PATTERN } from '../core/names.ts';

/** Longest accepted texts, in characters. */
const MAX_REASON = 2_000;
const MAX_REFERENCE = 140;

const NAME_RULE = 'must be 1 to 64 letters, digits, "-" or "_", starting with a letter or digit';

/** Free text of the caller: no control characters but line breaks and tabs, no broken surrogates. */
export function text(max: number): z.ZodString {
  return z
    .string()
    .max(max)
    .refine((value) => value.isWellFormed() && !CONTROL.test(value), 'contains characters that are no text');
}
const CONTROL = /[^\P{Cc}\n\r\t]/u;

/** A name that something gets. */
export const newName = z.string().max(64).regex(NAME_PATTERN, NAME_RULE);

/** What a person types for a workspace, version or run; its reader says what it accepts. */
export const reference = text(MAX_REFERENCE).min(1);

export const workspace = reference.describe('Workspace, or the slot it is in');
export const slot = text(64).min(1).describe('Slot, or the workspace in it');
/** The length is checked by the wrapper, against audit.min_reason_length. */
export const reason = text(MAX_REASON).describe('Why, for the audit (≥ 15 characters)');
export const message = text(MAX_REASON);
export const limit = z.int().min(1).max(100).optional().describe('At most this many (default 20)');
export const cursor = text(500).min(1).optional().describe('next_cursor of the page before');
export const runId = text(64).min(1).describe('stage-…; a prefix is enough');

const errorObject = z
  .looseObject({
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
    hint: z.string(),
    fix: nextCall().optional(),
  })
  .describe('Only where isError is true');

/** A ready tool call. */
export function nextCall() {
  return z.object({ tool: z.string(), arguments: z.record(z.string(), z.unknown()) });
}

/**
 * An output schema: no field is required, so that `{error}` fits it; `note` is the wrapper's word where it had to cut.
 */
export function answer<S extends z.ZodRawShape>(shape: S) {
  return z.object(shape).partial().extend({ note: z.string().optional(), error: errorObject.optional() });
}

/** A list: rows under the plural noun, and what every list carries. */
export const listFields = {
  schema_version: z.int(),
  next_cursor: z.string().nullable(),
  errors: z.array(z.object({ component: z.string(), message: z.string() })),
};

/** Of every `status` and list. */
export const SCHEMA_VERSION = 1;

/** The call that comes after initialize_project, ready to be made. */
export const FIRST_WORKSPACE = {
  name: 'baseline',
  goal: 'Find out how far the simplest approach gets',
  reason: 'Start the first line of experiments',
};
