import type { ProvisioningModel } from '../core/rows.ts';
import { builtInGpus, isSpotOnly, needsHyperdisk } from './machine-types.ts';

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
  /** By way of paying; null where nobody said. In whatever money the user counts in. */
  pricePerHour: Prices;
  /** Commands that must end with 0 in the sandbox of a job before it is started there. */
  preflight: readonly (readonly string[])[];
};

export type Prices = Readonly<Record<ProvisioningModel, number | null>>;

/** A second disk, made with the machine and deleted with it; `mount`: the folder that a stage has it as. */
export type DataDisk = { name: string; sizeGb: number; type: string; mount: string };

const DEBIAN = 'projects/debian-cloud/global/images/family/debian-12';
const CUDA = 'projects/deeplearning-platform-release/global/images/family/common-cu124-debian-12';

/** A profile with what is usual for its machine type where nothing else is said. */
export function gceProfile(
  given: Pick<GceProfile, 'description' | 'machineType'> & Partial<GceProfile>,
): GceProfile {
  const { machineType, accelerators = null } = given;
  const gpus = given.gpus ?? accelerators?.count ?? builtInGpus(machineType) ?? 0;
  return {
    accelerators,
    gpus,
    models: [isSpotOnly(machineType) ? 'spot' : 'standard'],
    bootDisk: {
      ...(gpus > 0 ? { image: CUDA, sizeGb: 200 } : { image: DEBIAN, sizeGb: 50 }),
      type: usualDiskType(machineType, gpus),
    },
    dataDisks: [],
    pricePerHour: { spot: null, standard: null },
    preflight: [],
    ...given,
  };
}

export function usualDiskType(machineType: string, gpus: number): string {
  if (needsHyperdisk(machineType)) return 'hyperdisk-balanced';
  return gpus > 0 ? 'pd-ssd' : 'pd-balanced';
}

/** The built-in ones; goldfish.yaml may change their values and name others. */
export const GCE_PROFILES: Readonly<Record<string, GceProfile>> = {
  'cpu-small': gceProfile({
    description: 'A rented machine with 4 processors and 16 GB',
    machineType: 'n2-standard-4',
  }),
  'cpu-large': gceProfile({
    description: 'A rented machine with 192 processors and 384 GB',
    machineType: 'c4-highcpu-192',
  }),
  'h100-spot': gceProfile({
    description: 'A rented machine with one H100, at the spot price',
    machineType: 'a3-highgpu-1g',
  }),
  'h100-on-demand': gceProfile({
    description: 'A rented machine with eight H100',
    machineType: 'a3-highgpu-8g',
  }),
  'a100-spot': gceProfile({
    description: 'A rented machine with one A100, at the spot price',
    machineType: 'a2-highgpu-1g',
    models: ['spot'],
  }),
  'a100-on-demand': gceProfile({
    description: 'A rented machine with one A100',
    machineType: 'a2-highgpu-1g',
  }),
};
