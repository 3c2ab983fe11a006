import { MACHINE_TYPES, regionOf } from './catalog.ts';
import type { OperationFailure } from './operations.ts';
import type { Instance, World } from './world.ts';

/** Region or `global` → metric → limit. */
export type Quotas = Record<string, Record<string, number>>;

const REGIONAL = {
  INSTANCES: 6_000,
  CPUS: 5_000,
  PREEMPTIBLE_CPUS: 5_000,
  NVIDIA_T4_GPUS: 64,
  NVIDIA_V100_GPUS: 64,
  NVIDIA_L4_GPUS: 64,
  NVIDIA_A100_GPUS: 64,
  NVIDIA_H100_GPUS: 64,
  PREEMPTIBLE_NVIDIA_T4_GPUS: 64,
  PREEMPTIBLE_NVIDIA_V100_GPUS: 64,
  PREEMPTIBLE_NVIDIA_L4_GPUS: 64,
  PREEMPTIBLE_NVIDIA_A100_GPUS: 64,
  PREEMPTIBLE_NVIDIA_H100_GPUS: 64,
};
const GLOBAL = { CPUS_ALL_REGIONS: 20_000, GPUS_ALL_REGIONS: 256 };

/** `nvidia-tesla-a100` → `A100`, `nvidia-h100-80gb` → `H100`. */
function cardOf(accelerator: string): string {
  return (/^nvidia-(?:tesla-)?([a-z0-9]+)/.exec(accelerator)?.[1] ?? accelerator).toUpperCase();
}

/** What a machine uses of the quotas of its region and of the project. One that is off uses none. */
function needs(instance: Instance): { regional: Record<string, number>; global: Record<string, number> } {
  const cpus = MACHINE_TYPES[instance.machineType]?.cpus ?? 0;
  const prefix = instance.resource.scheduling.preemptible ? 'PREEMPTIBLE_' : '';
  const regional: Record<string, number> = { INSTANCES: 1, [`${prefix}CPUS`]: cpus };
  let cards = 0;
  for (const { type, count } of instance.accelerators) {
    regional[`${prefix}NVIDIA_${cardOf(type)}_GPUS`] = count;
    cards += count;
  }
  return { regional, global: { CPUS_ALL_REGIONS: cpus, GPUS_ALL_REGIONS: cards } };
}

export type QuotaRow = { metric: string; limit: number; usage: number };

/** `region`: undefined for the project as a whole. */
export function quotaRows(world: World, region?: string): QuotaRow[] {
  const limits = { ...(region ? REGIONAL : GLOBAL), ...world.quotas[region ?? 'global'] };
  const used: Record<string, number> = {};
  for (const instance of world.instances.values()) {
    if (instance.resource.status === 'TERMINATED') continue;
    if (region && regionOf(instance.zone) !== region) continue;
    const need = needs(instance)[region ? 'regional' : 'global'];
    for (const [metric, count] of Object.entries(need)) used[metric] = (used[metric] ?? 0) + count;
  }
  return Object.entries(limits).map(([metric, limit]) => ({ metric, limit, usage: used[metric] ?? 0 }));
}

/** Which quota is exceeded by this machine, which is counted already. */
export function exceededQuota(world: World, instance: Instance): OperationFailure | undefined {
  const region = regionOf(instance.zone);
  const need = needs(instance);
  const over = (rows: QuotaRow[], mine: Record<string, number>): QuotaRow | undefined =>
    rows.find(({ metric, limit, usage }) => (mine[metric] ?? 0) > 0 && usage > limit);
  const regional = over(quotaRows(world, region), need.regional);
  if (regional) return quotaFailure(regional, region);
  const global = over(quotaRows(world), need.global);
  return global && quotaFailure(global, 'global');
}

/** `Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.`, two blanks and decimals included. */
export function quotaSentence({ metric, limit }: { metric: string; limit: number }, region: string): string {
  const where = region === 'global' ? 'globally' : `in region ${region}`;
  return `Quota '${metric}' exceeded.  Limit: ${limit.toFixed(1)} ${where}.`;
}

export function quotaFailure(row: { metric: string; limit: number }, region: string): OperationFailure {
  const quotaInfo = {
    metricName: `compute.googleapis.com/${row.metric.toLowerCase()}`,
    limitName: `${row.metric.replaceAll('_', '-')}-per-project${region === 'global' ? '' : '-region'}`,
    dimensions: region === 'global' ? {} : { region },
    limit: row.limit,
  };
  return {
    httpStatus: 403,
    errors: [{ code: 'QUOTA_EXCEEDED', message: quotaSentence(row, region), errorDetails: [{ quotaInfo }] }],
  };
}
