import { z } from 'zod';
import { invalidField } from './api-error.ts';

/** The bodies of requests: what is not named here is ignored, as the service ignores what it does not know. */

/** 64-bit numbers travel as text; clients also send them as numbers. */
const int64 = z.union([z.string().regex(/^-?\d+$/), z.int()]).transform(String);

const metadataItems = z.array(z.object({ key: z.string(), value: z.string().default('') })).default([]);

const disk = z.object({
  boot: z.boolean().default(false),
  /** False where nothing is said: such a disk outlives its machine. */
  autoDelete: z.boolean().default(false),
  type: z.enum(['PERSISTENT', 'SCRATCH']).default('PERSISTENT'),
  mode: z.enum(['READ_WRITE', 'READ_ONLY']).default('READ_WRITE'),
  deviceName: z.string().optional(),
  source: z.string().optional(),
  initializeParams: z
    .object({
      diskName: z.string().optional(),
      diskSizeGb: int64.optional(),
      diskType: z.string().optional(),
      sourceImage: z.string().optional(),
      labels: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
});

const schedulingBody = z.object({
  onHostMaintenance: z.enum(['MIGRATE', 'TERMINATE']).optional(),
  automaticRestart: z.boolean().optional(),
  preemptible: z.boolean().optional(),
  provisioningModel: z.enum(['STANDARD', 'SPOT']).optional(),
  instanceTerminationAction: z.enum(['STOP', 'DELETE']).optional(),
  maxRunDuration: z.object({ seconds: int64 }).optional(),
});

export const instanceBody = z.object({
  name: z.string().default(''),
  description: z.string().optional(),
  machineType: z.string().default(''),
  disks: z.array(disk).default([]),
  networkInterfaces: z.array(z.looseObject({})).default([]),
  metadata: z.object({ items: metadataItems }).default({ items: [] }),
  labels: z.record(z.string(), z.string()).default({}),
  scheduling: schedulingBody.default({}),
  guestAccelerators: z
    .array(z.object({ acceleratorType: z.string(), acceleratorCount: z.int() }))
    .default([]),
  serviceAccounts: z
    .array(z.object({ email: z.string().default('default'), scopes: z.array(z.string()).default([]) }))
    .default([]),
  tags: z.object({ items: z.array(z.string()).default([]) }).default({ items: [] }),
});

export const metadataBody = z.object({ fingerprint: z.string().default(''), items: metadataItems });

export const labelsBody = z.object({
  labelFingerprint: z.string().default(''),
  labels: z.record(z.string(), z.string()).default({}),
});

export type InstanceBody = z.output<typeof instanceBody>;
export type DiskBody = InstanceBody['disks'][number];
export type SchedulingBody = z.output<typeof schedulingBody>;

/** Throws the ApiError of the first field that has not the right form. */
export function readBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = (issue?.path ?? []).map((part) =>
    typeof part === 'number' ? `[${part}]` : `.${String(part)}`,
  );
  throw invalidField(`resource${path.join('')}`, valueAt(body, issue?.path ?? []), issue?.message ?? '');
}

function valueAt(body: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
    body,
  );
}
