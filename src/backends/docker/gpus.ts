import { readdirSync } from 'node:fs';

const DRIVER = '/proc/driver/nvidia/gpus';

/** GPUs of this machine that its NVIDIA driver serves. */
export function countGpus(): number {
  try {
    return readdirSync(DRIVER).length;
  } catch {
    return 0;
  }
}
