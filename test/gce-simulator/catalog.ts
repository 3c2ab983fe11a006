/** What the simulated project can rent, and where. */

export type MachineType = { cpus: number; memoryGb: number; accelerator?: { type: string; count: number } };

const A100 = 'nvidia-tesla-a100';
const H100 = 'nvidia-h100-80gb';

/** Machine types with built-in accelerators carry them here; only n1 takes others. */
export const MACHINE_TYPES: Record<string, MachineType> = {
  'e2-micro': { cpus: 2, memoryGb: 1 },
  'e2-small': { cpus: 2, memoryGb: 2 },
  'e2-medium': { cpus: 2, memoryGb: 4 },
  'e2-standard-4': { cpus: 4, memoryGb: 16 },
  'n1-standard-4': { cpus: 4, memoryGb: 15 },
  'n2-standard-4': { cpus: 4, memoryGb: 16 },
  'c4-highcpu-192': { cpus: 192, memoryGb: 384 },
  'g2-standard-4': { cpus: 4, memoryGb: 16, accelerator: { type: 'nvidia-l4', count: 1 } },
  'a2-highgpu-1g': { cpus: 12, memoryGb: 85, accelerator: { type: A100, count: 1 } },
  'a2-highgpu-8g': { cpus: 96, memoryGb: 680, accelerator: { type: A100, count: 8 } },
  'a3-highgpu-1g': { cpus: 26, memoryGb: 234, accelerator: { type: H100, count: 1 } },
  'a3-highgpu-8g': { cpus: 208, memoryGb: 1872, accelerator: { type: H100, count: 8 } },
};

/** Small A3 machines are rented as spot machines only (cloud.google.com/compute/docs/gpus, "A3 High"). */
export const SPOT_ONLY = ['a3-highgpu-1g'];

/** Accelerators that n1 machines can be given, and how many at once. */
export const ATTACHABLE: Record<string, number[]> = {
  'nvidia-tesla-t4': [1, 2, 4],
  'nvidia-tesla-v100': [1, 2, 4, 8],
};

const COMMON = Object.keys(MACHINE_TYPES).filter((name) => !/^(a2|a3|c4)/.test(name));
const ALL = Object.keys(MACHINE_TYPES);

/** Zone → the machine types that exist there. Not every zone has every type; that is no stock-out. */
export const ZONES: Record<string, string[]> = {
  'us-central1-a': ALL,
  'us-central1-b': ALL,
  'us-central1-c': ALL,
  'us-central1-f': ALL.filter((name) => !name.startsWith('a3')),
  'us-east1-b': [...COMMON, 'a2-highgpu-1g', 'c4-highcpu-192'],
  'us-east1-c': COMMON,
  'us-west1-a': ALL,
  'us-west1-b': ALL.filter((name) => !name.startsWith('c4')),
  'europe-west4-a': ALL,
  'europe-west4-b': ALL,
};

export const REGIONS = [...new Set(Object.keys(ZONES).map(regionOf))];

/** `us-central1-a` → `us-central1`. */
export function regionOf(zone: string): string {
  return zone.slice(0, zone.lastIndexOf('-'));
}

/** `project/family` → the newest image of it, and the least size of a disk that holds it, in GB. */
export const IMAGES: Record<string, { name: string; diskSizeGb: number }> = {
  'debian-cloud/debian-12': { name: 'debian-12-bookworm-v20260115', diskSizeGb: 10 },
  'cos-cloud/cos-stable': { name: 'cos-stable-125-19216-104-74', diskSizeGb: 10 },
  'ubuntu-os-cloud/ubuntu-2404-lts-amd64': { name: 'ubuntu-2404-noble-amd64-v20260110', diskSizeGb: 10 },
  'deeplearning-platform-release/common-cu124-debian-12': {
    name: 'common-cu124-v20260105-debian-12',
    diskSizeGb: 50,
  },
};
