import type { JobKey, ProvisioningModel } from '../core/rows.ts';
import type { Db } from '../store/database.ts';
import { type JobOnMachine, jobsOfRuns, type StartSum, startsByProfile } from '../store/pool-report.ts';

/** The rented machine that an attempt has, or had. */
export type RunMachine = JobKey & {
  workerId: string;
  zone: string | null;
  model: ProvisioningModel | null;
  /** It was there already. */
  warm: boolean;
  /** What the attempt began sooner than cold starts of its profile do, by their median; null where that cannot be said. */
  savedSeconds: number | null;
};

/** The machines of some runs, in the order of their attempts; none for runs that were executed here. Reads only. */
export function machinesOfRuns(db: Db, runIds: readonly string[]): RunMachine[] {
  return db.read(() => {
    const jobs = jobsOfRuns(db, runIds);
    const starts = jobs.some(({ warm }) => warm) ? startsByProfile(db) : [];
    return jobs.map((job) => {
      const { runId, attempt, workerId, zone, model, warm } = job;
      return { runId, attempt, workerId, zone, model, warm, savedSeconds: savedBy(job, starts) };
    });
  });
}

function savedBy(job: JobOnMachine, starts: readonly StartSum[]): number | null {
  if (!job.warm || job.seconds === null) return null;
  const cold = starts.find(({ warm, profile }) => !warm && profile === job.profile);
  return cold === undefined ? null : Math.max(0, cold.seconds - job.seconds);
}
