import { join } from 'node:path';

const ROOT = '/var/lib/goldfish';
const JOB = join(ROOT, 'job');
const ATTEMPT = join(JOB, 'attempt');

/** Where things are on a rented machine. The same stands in runtime/worker/worker_places.py; a test compares the two. */
export const MACHINE = {
  engine: 'unix:///var/run/docker.sock',
  job: JOB,
  attempt: ATTEMPT,
  code: join(JOB, 'code'),
  inputs: join(JOB, 'inputs'),
  checkpoints: join(JOB, 'checkpoints'),
} as const;

/** What a job sees of a data disk: an empty folder of its user from its beginning to its end. */
export function diskFolder(name: string): string {
  return join(ROOT, 'disks', name, 'stage');
}

/** The unpacked worker program and what containers read of ours. */
export function programFolder(sha256: string): string {
  return join(ROOT, 'program', sha256);
}

/** Of a rank, below the job's folder: rank 0 has the folders of the attempt. */
export function rankFolder(rank: number): string {
  return rank === 0 ? 'attempt' : `attempt/ranks/${rank}`;
}
