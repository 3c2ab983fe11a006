/** What the names of Compute Engine's machine types say, as far as a config has to be judged by it. */

/** Series with GPUs built in: a2, a3, a4, a4x, g2, g4. g1 is an old one without. */
const WITH_GPUS = /^[ag][2-9]x?-/;
/** `a3-highgpu-8g`, `a3-edgegpu-8g-nolssd` */
const COUNT = /-(\d{1,2})g(?:-|$)/;

/** Of g2-standard-N, which are called after their processors. */
const G2_GPUS: Readonly<Record<string, number>> = {
  '4': 1,
  '8': 1,
  '12': 1,
  '16': 1,
  '24': 2,
  '32': 1,
  '48': 4,
  '96': 8,
};

/** GPUs that are part of a machine type; undefined where it has some and its name does not tell how many. */
export function builtInGpus(machineType: string): number | undefined {
  if (!WITH_GPUS.test(machineType)) return 0;
  const [, count] = COUNT.exec(machineType) ?? [];
  if (count !== undefined) return Number(count);
  const [, cpus = ''] = /^g2-standard-(\d+)$/.exec(machineType) ?? [];
  return G2_GPUS[cpus];
}

/** Only the first series can be given accelerators; all later ones have them built in, or none. */
export function takesAccelerators(machineType: string): boolean {
  return /^(n1|custom)-/.test(machineType);
}

/** The small ones of this series are for rent in no other way. */
export function isSpotOnly(machineType: string): boolean {
  return /^a3-highgpu-[124]g$/.test(machineType);
}

/** Machines of these series take no other kind of disk. */
export function needsHyperdisk(machineType: string): boolean {
  return /^((c4|n4|m4|x4|h4|a4|g4)[a-z]?-|a3-ultragpu-)/.test(machineType);
}
