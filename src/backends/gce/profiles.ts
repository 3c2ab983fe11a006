import type { ProvisioningModel } from '../../core/rows.ts';

/** A kind of machine that can be rented. */
export type GceProfile = {
  description: string;
  machineType: string;
  /** To be attached; null: none, or built into the machine type. */
  accelerators: { type: string; count: number } | null;
  /** GPUs that a stage has there, built in or attached. */
  gpus: number;
  /** In the order to try. */
  models: readonly ProvisioningModel[];
  bootDisk: { image: string; sizeGb: number; type: string };
  dataDisks: readonly DataDisk[];
  /** US dollars, where somebody said. */
  pricePerHour: number | null;
};

/** A second disk: made with the machine, formatted and mounted there, deleted with it. */
export type DataDisk = { name: string; sizeGb: number; type: string; mount: string };

const DEBIAN = 'projects/debian-cloud/global/images/family/debian-12';
const CUDA = 'projects/deeplearning-platform-release/global/images/family/common-cu124-debian-12';

const CPU_DISK = { image: DEBIAN, sizeGb: 50, type: 'pd-balanced' } as const;
const GPU_DISK = { image: CUDA, sizeGb: 200, type: 'pd-ssd' } as const;

function profile(
  given: Pick<GceProfile, 'description' | 'machineType' | 'models'> & Partial<GceProfile>,
): GceProfile {
  const gpus = given.gpus ?? 0;
  return {
    accelerators: null,
    gpus,
    bootDisk: gpus > 0 ? GPU_DISK : CPU_DISK,
    dataDisks: [],
    pricePerHour: null,
    ...given,
  };
}

/** The built-in ones; goldfish.yaml may change their values and name others. */
export const GCE_PROFILES: Readonly<Record<string, GceProfile>> = {
  'cpu-small': profile({
    description: 'A rented machine with 4 processors and 16 GB',
    machineType: 'n2-standard-4',
    models: ['standard'],
  }),
  'cpu-large': profile({
    description: 'A rented machine with 192 processors and 384 GB',
    machineType: 'c4-highcpu-192',
    models: ['standard'],
    // Machines of this series take no other kind of disk.
    bootDisk: { ...CPU_DISK, type: 'hyperdisk-balanced' },
  }),
  'h100-spot': profile({
    description: 'A rented machine with one H100, at the spot price',
    machineType: 'a3-highgpu-1g',
    gpus: 1,
    // For rent in no other way.
    models: ['spot'],
  }),
  'h100-on-demand': profile({
    description: 'A rented machine with eight H100',
    machineType: 'a3-highgpu-8g',
    gpus: 8,
    models: ['standard'],
  }),
  'a100-spot': profile({
    description: 'A rented machine with one A100, at the spot price',
    machineType: 'a2-highgpu-1g',
    gpus: 1,
    models: ['spot'],
  }),
  'a100-on-demand': profile({
    description: 'A rented machine with one A100',
    machineType: 'a2-highgpu-1g',
    gpus: 1,
    models: ['standard'],
  }),
};
