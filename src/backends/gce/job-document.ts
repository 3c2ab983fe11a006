import { z } from 'zod';

/**
 * `runs/<run>/<attempt>/job.json`: what a machine is to do, whole. Written once, before a machine is asked for it; the
 * worker program (runtime/worker) reads it and refuses any other `schema`. No secrets in it.
 */

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** Relative to the machine's job folder, without `.` and `..`. */
const path = z.string().min(1);

/** An object of the bucket whose content is known. */
const stored = z.strictObject({ object: z.string(), sha256, size: z.int().nonnegative() });

export const jobSchema = z.strictObject({
  schema: z.literal(1),
  runId: z.string(),
  attempt: z.int().positive(),
  /** `runs/<run>/<attempt>/`: below it the machine writes what comes of the job. */
  prefix: z.string(),
  /** Seconds from the claim until the machine gives the job up, preparation and uploads included; also after a reboot. */
  limitSeconds: z.number().positive(),
  /** How often logs and metrics are sent while it runs; a checkpoint is sent as soon as it is whole. */
  syncSeconds: z.number().positive(),
  /** A tar archive; unpacked to `code`, read-only. */
  code: stored,
  /** Plain files to be written before anything is started: the config documents of the ranks. */
  files: z.array(z.strictObject({ path, text: z.string(), owner: z.enum(['stage', 'worker']) })),
  /** Folders that the stage writes to; made empty. */
  folders: z.array(path),
  /** To `inputs/<fileName>`, read-only; a folder comes as a tar archive. */
  inputs: z.array(stored.extend({ fileName: z.string(), kind: z.enum(['file', 'folder']) })),
  /** What earlier attempts saved, to `checkpoints/<path>`. */
  checkpoints: z.array(stored.extend({ path })),
  /** By digest: `europe-docker.pkg.dev/p/r/goldfish@sha256:…`. */
  image: z.strictObject({
    reference: z.string().regex(/@sha256:[0-9a-f]{64}$/),
    /** `metadata`: signed in to with the token of the machine's account, which is for registries of Google only. */
    login: z.enum(['metadata', 'none']),
  }),
  /** User and group of the stage in its container. */
  user: z.strictObject({ uid: z.int().positive(), gid: z.int().positive() }),
  /** Bodies for the engine's call that makes a container, rank by rank, each with its name. */
  containers: z.array(z.strictObject({ name: z.string(), body: z.record(z.string(), z.unknown()) })).min(1),
  /** Commands that must end with 0 in the job's sandbox before it is started. */
  preflight: z.array(z.array(z.string()).min(1)),
  /** What runtime/run_wrapper.py is given as spec.json. */
  wrapper: z.record(z.string(), z.unknown()),
  /** Whether a sealed object has to be waited for before the job is claimed: `<prefix>sealed/<worker>-<boot>.json`. */
  secrets: z.boolean(),
  /** Of the finished attempt, those that are sent back. */
  outputs: z.array(z.strictObject({ path, kind: z.enum(['file', 'folder']) })),
});
export type JobDocument = z.output<typeof jobSchema>;

/** Secrets for one boot of one machine: each piece encrypted for its public key (RSA-OAEP with SHA-256), base64. */
export const sealedSchema = z.strictObject({
  schema: z.literal(1),
  /** In order. Each holds: 16 random bytes that all have in common, its number and their count (2 bytes each), content. */
  pieces: z.array(z.string()).min(1),
});

export function sealedKey(of: { prefix: string; worker: string; boot: number }): string {
  return `${of.prefix}sealed/${of.worker}-${of.boot}.json`;
}

/** `goldfish-worker` in the machine's metadata: all that the bootstrap and the worker program are told there. */
export const machineSettingsSchema = z.strictObject({
  schema: z.literal(1),
  worker: z.string(),
  profile: z.string(),
  /** What it was booted from, as the profile names it: for people. */
  image: z.string(),
  bucket: z.string(),
  /** Before every key of the bucket; empty, or with a slash at its end. */
  bucketPrefix: z.string(),
  /** Of the JSON API: `https://storage.googleapis.com`, or an emulator. */
  storageEndpoint: z.string(),
  /** Of the Compute API, through which the machine ends itself. */
  computeEndpoint: z.string(),
  program: stored,
  /** Ends by itself after so many seconds without work; 0: after its first job. */
  idleSeconds: z.number().nonnegative(),
  /** Ends by itself so many seconds after its first boot, whatever it does. */
  lifeSeconds: z.number().positive(),
  /** Ended after one job. */
  singleUse: z.boolean(),
  /** To be waited for before a job is claimed: a driver that answers. */
  accelerators: z.boolean(),
  /** By name: `/dev/disk/by-id/google-<name>`. Formatted where they are new, and mounted for jobs (`diskFolder`). */
  dataDisks: z.array(z.string()),
});
export type MachineSettingsDocument = z.output<typeof machineSettingsSchema>;
