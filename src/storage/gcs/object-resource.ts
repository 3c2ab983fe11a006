import { z } from 'zod';
import { isoTime } from '../../core/clock.ts';
import type { ObjectStat } from '../port.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { GcsFailure } from './gcs-failure.ts';

/** What the service says of an object. 64-bit numbers come as text. */
export const objectResource = z.object({
  name: z.string(),
  size: z.string().regex(/^\d+$/),
  generation: z.string().regex(/^\d+$/),
  timeCreated: z.iso.datetime({ offset: true }),
  crc32c: z.string().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});
export type ObjectResource = z.infer<typeof objectResource>;

/** Errors: GcsFailure where the text is no such thing, as that of a proxy in between is not. */
export function parseAnswer<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new GcsFailure('network', { message: 'the answer is not one of the service', cause: error });
  }
}

/** `updatedAt` is when this generation was written; what is said of an object may change later. */
export function objectStat(bucket: GcsBucket, resource: ObjectResource): ObjectStat {
  return {
    key: resource.name.slice(bucket.prefix.length),
    size: Number(resource.size),
    generation: resource.generation,
    updatedAt: isoTime(Date.parse(resource.timeCreated)),
  };
}

/** The address of an object, or of all. */
export function objectUrl(bucket: GcsBucket, key?: string): string {
  const all = `/storage/v1/b/${encodeURIComponent(bucket.name)}/o`;
  return key === undefined ? all : `${all}/${encodeURIComponent(bucket.prefix + key)}`;
}
