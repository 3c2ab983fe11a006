import { z } from 'zod';
import { imageSchema, oneOf, restartsSchema } from '../config/fields.ts';
import { RESTARTABLE } from '../core/causes.ts';
import { isName } from '../core/names.ts';
import { SIGNAL_TYPES } from '../core/signals.ts';

/** `dataset` stands on inputs only. */
export const OUTPUT_TYPES = SIGNAL_TYPES.filter((type) => type !== 'dataset');
export const NAME_RULE = 'up to 64 letters, digits, "-" or "_", starting with a letter or digit';
export const MAX_STAGES = 1000;

const MAPPING = 'must be a mapping from names to signals';
const STAGES = 'must be a list of stages';
const COMMAND = 'must be a list of texts';

const nameSchema = z
  .string('must be a name')
  .refine(isName, `must be a name: ${NAME_RULE}, and no reserved word`);
const textSchema = z.string('must be text');
/** Looked into signal by signal, so that one bad signal does not hide the others. */
const signalsSchema = z.record(z.string(), z.unknown(), MAPPING).nullish();

/** The file. Error texts follow the key's name: `"stages" must be …`. */
export const pipelineSchema = z.strictObject(
  {
    name: nameSchema.optional(),
    description: textSchema.nullish(),
    stages: z
      .array(z.unknown(), STAGES)
      .min(1, 'must list at least one stage')
      .max(MAX_STAGES, `must list at most ${MAX_STAGES} stages`),
  },
  'must be a mapping with the keys name and stages',
);

/** When a run of the stage is started anew by itself. */
const retriesSchema = z.strictObject(
  {
    max_restarts: restartsSchema.optional(),
    on: z.array(oneOf(RESTARTABLE), 'must be a list of causes').optional(),
  },
  'must be a mapping with the keys max_restarts and on',
);

export const stageSchema = z.strictObject(
  {
    name: nameSchema,
    description: textSchema.nullish(),
    /** Judged apart: some kinds are reserved. */
    kind: z.unknown().optional(),
    command: z
      .array(
        z.string('must be text').refine((word) => !word.includes('\0'), 'must not contain a null character'),
        COMMAND,
      )
      .min(1, 'must name a program')
      .refine((words) => words[0] !== '', 'must name a program')
      .optional(),
    image: imageSchema.nullish(),
    inputs: signalsSchema,
    outputs: signalsSchema,
    cache: z.boolean('must be true or false').optional(),
    retries: retriesSchema.nullish(),
  },
  'must be a mapping with the keys name, inputs and outputs',
);

/** Keys the contract names and this version does not read yet. */
export const LATER_STAGE_KEYS: ReadonlySet<string> = new Set();
export const LATER_SIGNAL_KEYS: ReadonlySet<string> = new Set(['schema']);

export const inputSchema = z.strictObject(
  {
    from_stage: textSchema.optional(),
    signal: textSchema.optional(),
    type: oneOf(SIGNAL_TYPES).optional(),
    dataset: textSchema.optional(),
  },
  'must be a mapping with the keys from_stage and signal, or dataset',
);

export const outputSchema = z.strictObject(
  { type: oneOf(OUTPUT_TYPES) },
  'must be a type or a mapping with the key type',
);
