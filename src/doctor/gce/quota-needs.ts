import type { GceProfile } from '../../config/gce-profiles.ts';
import type { ProvisioningModel } from '../../core/rows.ts';

/** What one machine takes of a limit. `metrics`: the first of them that the service lists is meant. */
export type QuotaNeed = { metrics: readonly string[]; amount: number; of: 'region' | 'project' };

/** Those whose processors count as `CPUS`; later families have a limit each, and the newest are not listed at all. */
const OLD_FAMILIES = ['n1', 'e2', 'f1', 'g1'];

/** By the beginning of a machine type: the GPUs that are built into it. The more special first. */
const BUILT_IN_GPUS: readonly (readonly [string, string])[] = [
  ['a2-ultragpu', 'A100_80GB'],
  ['a2-', 'A100'],
  ['a3-megagpu', 'H100_MEGA'],
  ['a3-ultragpu', 'H200'],
  ['a3-', 'H100'],
  ['g2-', 'L4'],
];

/** Spot machines take GPUs of limits of their own, and processors of the ordinary ones unless the project has others. */
export function quotaNeeds(profile: GceProfile, model: ProvisioningModel): QuotaNeed[] {
  const gpu = gpuOf(profile);
  const needs: QuotaNeed[] = [];
  if (gpu !== undefined) {
    const prefix = model === 'spot' ? 'PREEMPTIBLE_' : '';
    needs.push({ metrics: [`${prefix}NVIDIA_${gpu}_GPUS`], amount: profile.gpus, of: 'region' });
    needs.push({ metrics: ['GPUS_ALL_REGIONS'], amount: profile.gpus, of: 'project' });
  }
  const cpus = processorsOf(profile.machineType);
  if (cpus === undefined) return needs;
  const family = profile.machineType.slice(0, profile.machineType.indexOf('-'));
  const metrics = OLD_FAMILIES.includes(family) ? ['CPUS'] : [`${family.toUpperCase()}_CPUS`];
  if (family === 'n2') metrics.push('CPUS');
  needs.push({ metrics, amount: cpus, of: 'region' });
  needs.push({ metrics: ['CPUS_ALL_REGIONS'], amount: cpus, of: 'project' });
  return needs;
}

function gpuOf({ machineType, accelerators, gpus }: GceProfile): string | undefined {
  if (gpus === 0) return undefined;
  if (accelerators !== null) {
    return accelerators.type
      .replace(/^nvidia-(tesla-)?/, '')
      .toUpperCase()
      .replaceAll('-', '_');
  }
  return BUILT_IN_GPUS.find(([beginning]) => machineType.startsWith(beginning))?.[1];
}

/** `n2-standard-4` → 4, `n2-custom-6-8192` → 6; types that are named after their GPUs do not say. */
function processorsOf(machineType: string): number | undefined {
  const found = /-custom-(\d+)-/.exec(machineType) ?? /-(\d+)$/.exec(machineType);
  return found === null ? undefined : Number(found[1]);
}
