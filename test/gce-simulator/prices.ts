import type { ProvisioningModel } from './resources.ts';

/**
 * US dollars an hour in us-central1, without disks and tax, built-in accelerators included: close to the list prices of
 * cloud.google.com/compute/vm-instance-pricing and cloud.google.com/spot-vms/pricing in 2025. Those of spot machines move
 * daily, and of machines with accelerators they are estimates; here they stand still, so that a bill is a fact of the test.
 * `SPOT` alone: not for rent otherwise.
 */
const PRICES: Record<string, Partial<Record<ProvisioningModel, number>>> = {
  'e2-micro': { STANDARD: 0.00838, SPOT: 0.00335 },
  'e2-small': { STANDARD: 0.01675, SPOT: 0.0067 },
  'e2-medium': { STANDARD: 0.0335, SPOT: 0.0134 },
  'e2-standard-4': { STANDARD: 0.13402, SPOT: 0.0536 },
  'n1-standard-4': { STANDARD: 0.19, SPOT: 0.04 },
  'n2-standard-4': { STANDARD: 0.194236, SPOT: 0.047 },
  'c4-highcpu-192': { STANDARD: 8.16499, SPOT: 3.19296 },
  'g2-standard-4': { STANDARD: 0.70683, SPOT: 0.28273 },
  'a2-highgpu-1g': { STANDARD: 3.673385, SPOT: 1.469354 },
  'a2-highgpu-8g': { STANDARD: 29.38708, SPOT: 11.754832 },
  'a3-highgpu-1g': { SPOT: 2.72599 },
  'a3-highgpu-8g': { STANDARD: 88.249, SPOT: 21.80794 },
};

/** US dollars an hour for one attached accelerator, from the same pages. */
const ACCELERATOR_PRICES: Record<string, Record<ProvisioningModel, number>> = {
  'nvidia-tesla-t4': { STANDARD: 0.35, SPOT: 0.14 },
  'nvidia-tesla-v100': { STANDARD: 2.48, SPOT: 0.74 },
};

export type Rented = {
  machineType: string;
  model: ProvisioningModel;
  /** Attached ones only; built-in ones are in the price of the machine type. */
  accelerators?: { type: string; count: number }[];
};

/** US dollars an hour. Throws for what has no price, because a bill without it would be wrong. */
export function pricePerHour({ machineType, model, accelerators = [] }: Rented): number {
  const price = PRICES[machineType]?.[model];
  if (price === undefined) throw new Error(`There is no price for a ${model} ${machineType}.`);
  return accelerators.reduce((sum, { type, count }) => {
    const each = ACCELERATOR_PRICES[type]?.[model];
    if (each === undefined) throw new Error(`There is no price for a ${model} ${type}.`);
    return sum + each * count;
  }, price);
}
