import type { JobKey, Worker } from '../core/rows.ts';
import { noteAssignment } from '../store/workers.ts';
import type { PoolDeps } from './deps.ts';
import { type AssignedJob, attemptPrefix } from './documents.ts';
import type { CallOptions } from './port.ts';

/** Names the newest job of a worker in the bucket. False where the object that does so cannot be written any more. */
export async function nameJob(
  { db, mail }: Pick<PoolDeps, 'db' | 'mail'>,
  { worker, job }: { worker: Worker; job: JobKey },
  options: CallOptions,
): Promise<boolean> {
  const { id, jobNumber } = worker;
  const generation = worker.assignmentGeneration ?? '0';
  const named = { worker: id, number: jobNumber, job: assignedJob(job), generation };
  const answer = await mail.assign(named, options);
  if (answer.kind === 'refused') return false;
  // kill point: pool/assignment-written
  noteAssignment(db, id, { jobNumber, generation: answer.generation });
  // kill point: pool/assignment-noted
  return true;
}

function assignedJob({ runId, attempt }: JobKey): AssignedJob {
  return { runId, attempt, prefix: attemptPrefix({ runId, attempt }) };
}
