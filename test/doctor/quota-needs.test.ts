import { expect, it } from 'vitest';
import { GCE_PROFILES, gceProfile } from '../../src/config/gce-profiles.ts';
import { quotaNeeds } from '../../src/doctor/gce/quota-needs.ts';

const told = (profile: Parameters<typeof quotaNeeds>[0], model: 'spot' | 'standard' = 'standard') =>
  quotaNeeds(profile, model).map(({ metrics, amount }) => `${metrics.join(' or ')} ${amount}`);

it('counts processors by their family, and GPUs by their kind and way of paying', () => {
  expect(told(GCE_PROFILES['cpu-small']!)).toEqual(['N2_CPUS or CPUS 4', 'CPUS_ALL_REGIONS 4']);
  expect(told(GCE_PROFILES['cpu-large']!)).toEqual(['C4_CPUS 192', 'CPUS_ALL_REGIONS 192']);
  expect(told(GCE_PROFILES['a100-on-demand']!)).toEqual(['NVIDIA_A100_GPUS 1', 'GPUS_ALL_REGIONS 1']);
  expect(told(GCE_PROFILES['h100-spot']!, 'spot')).toEqual([
    'PREEMPTIBLE_NVIDIA_H100_GPUS 1',
    'GPUS_ALL_REGIONS 1',
  ]);
});

it('counts what is attached, and what a type of one’s own says of itself', () => {
  const accelerators = { type: 'nvidia-tesla-t4', count: 2 };
  const n1 = gceProfile({ description: '', machineType: 'n1-standard-8', accelerators });
  expect(told(n1)).toEqual(['NVIDIA_T4_GPUS 2', 'GPUS_ALL_REGIONS 2', 'CPUS 8', 'CPUS_ALL_REGIONS 8']);
  const custom = gceProfile({ description: '', machineType: 'n2-custom-6-8192' });
  expect(told(custom)).toEqual(['N2_CPUS or CPUS 6', 'CPUS_ALL_REGIONS 6']);
});
