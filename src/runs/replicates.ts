import type { CallPlan, RunRequest } from './plan-call.ts';

/** 0 is the call itself, so that asking for more adds to what has been executed before. */
export function replicatesOf({ replicates = 1 }: Pick<RunRequest, 'replicates'>): number[] {
  return Array.from({ length: replicates }, (_, index) => index);
}

/** The same plan for one repetition: every stage of the call is executed for itself, inputs from outside are shared. */
export function planOfReplicate<Plan extends Pick<CallPlan, 'stages'>>(plan: Plan, replicate: number): Plan {
  if (replicate === 0) return plan;
  return { ...plan, stages: plan.stages.map((stage) => ({ ...stage, replicate })) };
}
