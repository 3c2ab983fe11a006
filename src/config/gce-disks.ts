import { z } from 'zod';
import { numberOf } from './fields.ts';

/** What `[series]-[kind]-[size]` and the types of disks and accelerators are made of. */
const TYPE = /^[a-z][a-z0-9]*(-[a-z0-9]+)+$/;
export const typeSchema = (of: string) => {
  const error = `must be a type of ${of}`;
  return z.string(error).max(63, error).regex(TYPE, error);
};
export const diskTypeSchema = typeSchema('disk such as pd-balanced');
export const sizeSchema = numberOf('a whole number of gigabytes from 10 to 65536', {
  min: 10,
  max: 65_536,
  whole: true,
});

/** Where a stage has its own things, as far as disks may be there at all; a test compares with its container’s. */
const STAGE_PLACES = [
  '/mnt/inputs',
  '/mnt/outputs',
  '/mnt/control',
  '/mnt/checkpoints',
  '/mnt/config.json',
  '/opt/goldfish',
] as const;

const NAME = 'must be a name of up to 30 lowercase letters, digits or "-" other than boot';
const MOUNT = 'must be a folder below /mnt, /srv or /opt such as /mnt/data';
const MOUNT_PATTERN = /^\/(mnt|srv|opt)(\/[\w-][\w.-]*)+$/;
const APART = `must be a folder apart from what every stage has (${STAGE_PLACES.join(', ')})`;
const DISKS = 'must be a list of up to 16 disks';
const UNIQUE = 'must name each disk and each folder once, and no folder inside another';

/** `data_disks` of a profile. */
export const disksSchema = z
  .array(
    z.strictObject(
      {
        name: z
          .string(NAME)
          .regex(/^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$/, NAME)
          .refine((name) => name !== 'boot', NAME),
        size_gb: sizeSchema,
        type: diskTypeSchema.nullish(),
        mount: z
          .string(MOUNT)
          .max(200, MOUNT)
          .regex(MOUNT_PATTERN, { error: MOUNT, abort: true })
          .refine((mount) => STAGE_PLACES.every((place) => !isInside(mount, place)), APART),
      },
      'must be a mapping',
    ),
    DISKS,
  )
  .max(16, DISKS)
  .refine(areApart, UNIQUE);

function isInside(folder: string, other: string): boolean {
  return `${folder}/`.startsWith(`${other}/`);
}

function areApart(disks: readonly { name: string; mount: string }[]): boolean {
  return disks.every(({ name, mount }, at) =>
    disks.every((other, index) => index === at || (other.name !== name && !isInside(other.mount, mount))),
  );
}
