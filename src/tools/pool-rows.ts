import { z } from 'zod';
import { clip } from '../core/names.ts';
import type { KeptPolicy, PoolReport, WorkerReport } from '../pool/pool-report.ts';
import { count } from './text.ts';

/** The shapes of rented machines in results, how a report becomes them, and their words. */

export const workerRow = z.object({
  worker: z.string(),
  state: z.string(),
  state_since: z.string(),
  profile: z.string(),
  zone: z.string().nullable(),
  model: z.string().nullable().describe('standard or spot'),
  pooled: z.boolean().describe('false: rented for one run'),
  run_id: z.string().nullable(),
  attempt: z.int().nullable(),
  age_seconds: z.int(),
  price_per_hour: z.number().nullable(),
  cost: z.number().nullable().describe('Until now'),
  heard_seconds_ago: z.int().nullable(),
  images: z.int().nullable().describe('How many it holds'),
  driver: z.string().nullable().describe('Of its accelerators'),
  end_reason: z.string().nullable().describe('Why it goes'),
});

export const limitsShape = z.object({
  max_instances: z.int(),
  idle_timeout_seconds: z.number(),
  profiles: z.array(z.string()).nullable().describe('null: all'),
});

export const sumsShape = {
  starts: z.int().describe('Attempts of runs that machines have begun'),
  warm_starts: z.int().describe('On a machine that was there already'),
  hit_rate: z.number().nullable(),
  seconds_saved: z.number().nullable().describe('Estimate: warm starts against cold ones of their profile'),
  money_saved: z.number().nullable().describe('Estimate: the same at the price per hour'),
  machines: z.int().describe('Rented in all'),
  cost: z.number().nullable().describe('Of all of them until now: an estimate by the price per hour'),
};

export function toWorkerRow(worker: WorkerReport): z.infer<typeof workerRow> {
  return {
    worker: worker.id,
    state: worker.state,
    state_since: worker.stateAt,
    profile: worker.profile,
    zone: worker.zone,
    model: worker.model,
    pooled: worker.pooled,
    run_id: worker.job?.runId ?? null,
    attempt: worker.job?.attempt ?? null,
    age_seconds: Math.round(worker.ageSeconds),
    price_per_hour: worker.pricePerHour,
    cost: money(worker.cost),
    heard_seconds_ago: rounded(worker.letterAgeSeconds, 0),
    images: worker.images,
    driver: worker.driver === null ? null : clip(worker.driver),
    end_reason: worker.endReason,
  };
}

export function toLimits({ limits }: PoolReport): z.infer<typeof limitsShape> {
  return {
    max_instances: limits.maxInstances,
    idle_timeout_seconds: limits.idleTimeoutSeconds,
    profiles: limits.profiles === null ? null : [...limits.profiles],
  };
}

export function toSums(report: PoolReport) {
  return {
    starts: report.starts,
    warm_starts: report.warmStarts,
    hit_rate: rounded(report.hitRate, 3),
    seconds_saved: rounded(report.secondsSaved, 1),
    money_saved: money(report.moneySaved),
    machines: report.machines,
    cost: money(report.cost),
  };
}

/** A hundredth of a cent is more than such an estimate is worth. */
function money(amount: number | null): number | null {
  return rounded(amount, 4);
}

function rounded(value: number | null, digits: number): number | null {
  return value === null ? null : Number(value.toFixed(digits));
}

/** The key that keeps any machine from being kept; null where none does. */
export function whyNoneIsKept(policy: KeptPolicy): string | null {
  if (!policy.enabled) return noneIsKept('enabled is false');
  if (policy.maxInstances === 0) return noneIsKept('max_instances is 0');
  if (policy.idleTimeoutSeconds === 0) return noneIsKept('idle_timeout_minutes is 0');
  return policy.profiles?.length === 0 ? noneIsKept('profiles names none') : null;
}

function noneIsKept(key: string): string {
  return `gce.warm_pool.${key}: each machine is given back after its run.`;
}

export function limitsText(limits: z.output<typeof limitsShape>): string {
  const of = limits.profiles === null ? '' : ` of ${limits.profiles.join(', ')}`;
  const most = count(limits.max_instances, 'machine');
  return `Kept for the next run: up to ${most}${of}, each for ${limits.idle_timeout_seconds} s without work.`;
}

export function countsText(counts: Readonly<Record<string, number>>): string {
  const there = Object.entries(counts).filter(([, n]) => n > 0);
  if (there.length === 0) return 'There is no machine now.';
  return `Machines: ${there.map(([state, n]) => `${n} ${state}`).join(', ')}.`;
}

type Sums = { [Key in keyof typeof sumsShape]?: z.output<(typeof sumsShape)[Key]> | undefined };

/** What the pool was good for, and what it cost; nothing where there was nothing. */
export function sumTexts(sums: Sums): string[] {
  const { starts = 0, warm_starts = 0, machines = 0, seconds_saved, money_saved, cost } = sums;
  const saved = [
    typeof seconds_saved === 'number' && `${seconds_saved} s`,
    typeof money_saved === 'number' && `${money_saved} at their prices`,
  ].filter((part) => part !== false);
  const what = saved.length === 0 ? '' : `, which saved about ${saved.join(' and ')}`;
  const about = typeof cost === 'number' ? `, for about ${cost}` : '';
  return [
    starts > 0 &&
      `${warm_starts} of ${count(starts, 'start')} found a machine that was there already${what}.`,
    machines > 0 && `${count(machines, 'machine')} rented in all${about}.`,
  ].filter((text) => text !== false);
}
