import { z } from 'zod';

/** How a stock-out shows; each is a wording that callers have met. See stock-outs.ts for the texts. */
export const STOCK_OUT_WORDINGS = [
  'pool-exhausted',
  'pool-exhausted-resource-type',
  'pool-exhausted-state',
  'pool-exhausted-other-zones',
  'region-pool-exhausted',
  'stockout',
  'preempted-at-start',
  'refused-at-once',
  /** No stock-out, although the code says so: machine and disk do not go together. */
  'incompatible-under-this-code',
] as const;

const ms = z.number().nonnegative();
const METHOD = z.string().regex(/^\w+\.\w+$/, 'A method is written as in the API: `instances.insert`.');

/** Which cases a fault is for; what is absent matches all. */
const cases = {
  zone: z.string().optional(),
  machineType: z.string().optional(),
  model: z.enum(['STANDARD', 'SPOT']).optional(),
  /** An instance's name, or its beginning and `*`. */
  name: z.string().optional(),
  /** How often it strikes. */
  times: z.union([z.int().positive(), z.literal('always')]).default(1),
};

/** What happens to a machine, counted from when it runs. */
const later = { ...cases, afterMs: ms.default(0) };

/** Everything that can go wrong on purpose. */
export const faultSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('stock-out'),
    ...cases,
    wording: z.enum(STOCK_OUT_WORDINGS).default('pool-exhausted'),
  }),
  /** The quota of a metric (`CPUS`, …) is said to be used up: by the operation, or by the request already. */
  z.strictObject({
    kind: z.literal('quota'),
    ...cases,
    metric: z.string().default('CPUS'),
    limit: z.number().default(24),
    as: z.enum(['operation', 'request']).default('operation'),
  }),
  /** The machine stays PROVISIONING for so much longer. */
  z.strictObject({ kind: z.literal('slow-provisioning'), ...cases, ms }),
  /** The machine is RUNNING, and its system comes up so much later. */
  z.strictObject({ kind: z.literal('slow-boot'), ...cases, ms }),
  /** A new machine is not shown for so long: by lists, or by `get` either. */
  z.strictObject({
    kind: z.literal('late-visibility'),
    ...cases,
    ms,
    of: z.enum(['lists', 'lists and get']).default('lists'),
  }),
  /** Nothing can be said of a zone: an aggregated list is partial or refused, other calls get a 503. */
  z.strictObject({ kind: z.literal('zone-unreachable'), ...cases }),
  /** The next calls of a method fail with this status, `after`: although they were carried out. */
  z.strictObject({
    kind: z.literal('api-error'),
    ...cases,
    method: METHOD.optional(),
    status: z.union([
      z.literal(401),
      z.literal(403),
      z.literal(429),
      z.literal(500),
      z.literal(502),
      z.literal(503),
    ]),
    after: z.boolean().default(false),
  }),
  /** The connection breaks instead of an answer. */
  z.strictObject({
    kind: z.literal('disconnect'),
    ...cases,
    method: METHOD.optional(),
    after: z.boolean().default(false),
  }),
  /** The operation of a method ends with this error and changes nothing. */
  z.strictObject({
    kind: z.literal('operation-error'),
    ...cases,
    method: METHOD,
    code: z.string().default('INTERNAL_ERROR'),
    message: z
      .string()
      .default("Internal error. Please try again or contact Google Support. (Code: '-5423')"),
    httpStatus: z.int().default(503),
  }),
  /** The operation of a method is carried out, and either nobody knows of it or it never says so. */
  z.strictObject({
    kind: z.literal('lost-operation'),
    ...cases,
    method: METHOD,
    how: z.enum(['forgotten', 'never-done']),
  }),
  /** Somebody else wrote just before: the fingerprint that the caller read is not the current one. */
  z.strictObject({
    kind: z.literal('stale-fingerprint'),
    ...cases,
    method: z.enum(['instances.setMetadata', 'instances.setLabels']),
  }),
  /** A deletion begins, and the machine stays STOPPING; another call of `delete` gets through. */
  z.strictObject({ kind: z.literal('delete-never-confirms'), ...cases }),
  /** Others pay more. Without notice the machine is off at once. */
  z.strictObject({ kind: z.literal('preempt'), ...later, noticeMs: ms.default(30_000) }),
  /** Somebody else stops the machine. */
  z.strictObject({ kind: z.literal('stop'), ...later }),
  /** The machine is gone, without an operation that says why. */
  z.strictObject({ kind: z.literal('vanish'), ...later }),
  /** The host breaks: the machine is off at once, and comes back if it restarts automatically. */
  z.strictObject({ kind: z.literal('host-error'), ...later }),
  /** The clock of the service, or of new machines, is ahead by so much (behind where negative). */
  z.strictObject({
    kind: z.literal('clock-skew'),
    ...cases,
    of: z.enum(['service', 'machine']),
    ms: z.number(),
  }),
]);

/** As it is written; what has a default may be left out. */
export type FaultInput = z.input<typeof faultSchema>;
export type Fault = z.output<typeof faultSchema>;
export type FaultOf<K extends Fault['kind']> = Extract<Fault, { kind: K }>;

/** What a fault is held against. */
export type Subject = { zone?: string; machineType?: string; model?: string; name?: string; method?: string };

export type FaultBook = {
  /** What comes back lifts it. Throws a ZodError for what is no fault. */
  add(fault: FaultInput): () => void;
  /** The first fault of this kind that is for this case; it is used up by one. */
  take<K extends Fault['kind']>(kind: K, subject: Subject): FaultOf<K> | undefined;
  /** Those of this kind that are for this case, without using them up. */
  peek<K extends Fault['kind']>(kind: K, subject: Subject): FaultOf<K>[];
  /** What may still strike. */
  pending(): Fault[];
  /** Nothing goes wrong any more but what has begun to. */
  clear(): void;
};

export function createFaultBook(): FaultBook {
  const faults: Fault[] = [];
  const lift = (fault: Fault): void => {
    const at = faults.indexOf(fault);
    if (at >= 0) faults.splice(at, 1);
  };
  const peek = <K extends Fault['kind']>(kind: K, subject: Subject): FaultOf<K>[] =>
    faults.filter((fault): fault is FaultOf<K> => fault.kind === kind && isFor(fault, subject));
  return {
    add: (input) => {
      const fault = faultSchema.parse(input);
      faults.push(fault);
      return () => lift(fault);
    },
    take: (kind, subject) => {
      const [fault] = peek(kind, subject);
      if (fault && fault.times !== 'always') {
        fault.times -= 1;
        if (fault.times === 0) lift(fault);
      }
      return fault;
    },
    peek,
    pending: () => [...faults],
    clear: () => {
      faults.length = 0;
    },
  };
}

function isFor(fault: Fault, subject: Subject): boolean {
  const method = 'method' in fault ? fault.method : undefined;
  return (
    (fault.zone ?? subject.zone) === subject.zone &&
    (fault.machineType ?? subject.machineType) === subject.machineType &&
    (fault.model ?? subject.model) === subject.model &&
    (method ?? subject.method) === subject.method &&
    (fault.name === undefined || nameMatches(fault.name, subject.name))
  );
}

/** `pattern`: a name, or its beginning and `*`. */
function nameMatches(pattern: string, name: string | undefined): boolean {
  if (name === undefined) return false;
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
