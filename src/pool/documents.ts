import { z } from 'zod';

/**
 * What controller and machine tell one another, as objects in the bucket. `runtime/worker/` reads and writes the same; a
 * test holds both to these schemas.
 */

const job = z.strictObject({
  runId: z.string(),
  attempt: z.int().positive(),
  /** The folder of the attempt in the bucket: `runs/<run>/<attempt>/`. Its `job.json` says what to do. */
  prefix: z.string(),
});

/** `workers/<worker>/assignment.json`, written by the controller; each write names the generation that it replaces. */
export const assignmentSchema = z.strictObject({
  schema: z.literal(1),
  worker: z.string(),
  /** Counts the jobs of the worker from 1. */
  number: z.int().positive(),
  /** Null: there will be no other. Written by the machine when it leaves, so that no job is given to it any more. */
  job: job.nullable(),
});
export type Assignment = z.output<typeof assignmentSchema>;
export type AssignedJob = z.output<typeof job>;

const PHASES = ['starting', 'working', 'sending', 'cleaning', 'idle', 'leaving'] as const;

/** `workers/<worker>/state.json`, written by the machine: at every change, and at least every 20 s. */
export const letterSchema = z.object({
  schema: z.literal(1),
  worker: z.string(),
  /** Counts the boots of the machine from 1. */
  boot: z.int().positive(),
  /** `sending`: its program has ended, and what it made is on the way. `idle`: nothing of the last job is left on the machine. */
  phase: z.enum(PHASES),
  /** The newest assignment that it has read, 0 before the first, and what became of it. */
  number: z.int().nonnegative(),
  job: z.enum(['none', 'claimed', 'called_off', 'ended']),
  /** Why it leaves. */
  leaves: z.enum(['idle', 'single_use', 'deadline', 'preempted', 'asked', 'failed']).nullable(),
  /** Of this boot: what a job's secrets are sealed with. PEM. */
  publicKey: z.string().nullable(),
  /** Digests of images that it holds. */
  images: z.array(z.string()).default([]),
  /** Of its accelerators, where it has any. */
  driver: z.string().nullable().default(null),
  /** Its own clock; for people only. */
  at: z.string(),
});
export type Letter = z.output<typeof letterSchema>;

/** `runs/<run>/<attempt>/claims/<worker>-<number>.json`, made once: by the machine that begins the job, or by the controller, which calls it off. */
export const claimSchema = z.object({
  schema: z.literal(1),
  /** The worker's name, or `controller`. */
  by: z.string(),
  /** Of the machine that claims: tells a repeated request of one boot from another boot. */
  nonce: z.string(),
});

export const CONTROLLER = 'controller';

export function assignmentKey(worker: string): string {
  return `workers/${worker}/assignment.json`;
}

export function letterKey(worker: string): string {
  return `workers/${worker}/state.json`;
}

export function attemptPrefix(job: { runId: string; attempt: number }): string {
  return `runs/${job.runId}/${job.attempt}/`;
}

export function claimKey(of: { prefix: string; worker: string; number: number }): string {
  return `${of.prefix}claims/${of.worker}-${of.number}.json`;
}
