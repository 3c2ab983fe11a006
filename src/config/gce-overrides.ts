import { GCE_PROFILES, type GceProfile, gceProfile, type Prices, usualDiskType } from './gce-profiles.ts';
import type { ProfileOverride } from './gce-schema.ts';
import { builtInGpus, isSpotOnly, takesAccelerators } from './machine-types.ts';
import type { Locate, Path, ProblemList } from './problem.ts';

type Overrides = Readonly<Record<string, ProfileOverride>>;

/** The built-in profiles with what goldfish.yaml says otherwise, and those that only it names. */
export function mergeOverrides(overrides: Overrides): Record<string, GceProfile> {
  const own = Object.entries(overrides).map(([name, said]): [string, GceProfile] => [
    name,
    merge(name, said),
  ]);
  return { ...GCE_PROFILES, ...Object.fromEntries(own) };
}

function builtIn(name: string): GceProfile | undefined {
  return Object.hasOwn(GCE_PROFILES, name) ? GCE_PROFILES[name] : undefined;
}

/** Empty only in a file that is refused for it. */
function machineTypeOf(name: string, said: ProfileOverride): string {
  return said.machine_type ?? builtIn(name)?.machineType ?? '';
}

function merge(name: string, said: ProfileOverride): GceProfile {
  const machineType = machineTypeOf(name, said);
  const usual = usualProfile(builtIn(name), { machineType, said });
  const { bootDisk } = usual;
  return {
    ...usual,
    models: said.provisioning ?? usual.models,
    bootDisk: {
      image: said.boot_disk.image ?? bootDisk.image,
      sizeGb: said.boot_disk.size_gb ?? bootDisk.sizeGb,
      type: said.boot_disk.type ?? bootDisk.type,
    },
    dataDisks:
      said.data_disks?.map(({ name: disk, size_gb, type, mount }) => ({
        name: disk,
        sizeGb: size_gb,
        type: type ?? usualDiskType(machineType, usual.gpus),
        mount,
      })) ?? usual.dataDisks,
    pricePerHour: pricesOf(said) ?? usual.pricePerHour,
    preflight: said.preflight ?? usual.preflight,
  };
}

function pricesOf({ price_per_hour: said }: ProfileOverride): Prices | undefined {
  return said ? { spot: said.spot ?? null, standard: said.standard ?? null } : undefined;
}

/** Before what it says of payment, disks and checks. Another machine type brings its own GPUs and disks. */
function usualProfile(
  base: GceProfile | undefined,
  { machineType, said }: { machineType: string; said: ProfileOverride },
): GceProfile {
  if (base?.machineType === machineType) return base;
  return gceProfile({
    description: `A rented machine of the type ${machineType}`,
    machineType,
    accelerators: said.accelerators ?? null,
    ...(typeof said.gpus === 'number' ? { gpus: said.gpus } : {}),
    ...(base === undefined ? {} : { models: base.models }),
  });
}

type Check = { locate: Locate; problems: ProblemList };

/** What the service would refuse, or would let somebody pay for and not use. */
export function checkOverrides(overrides: Overrides, { locate, problems }: Check): void {
  for (const [name, said] of Object.entries(overrides)) {
    const at: Path = ['gce', 'profile_overrides', name];
    const refusal = refusedOverride(name, said);
    if (refusal === undefined) continue;
    const { key, message, hint } = refusal;
    problems.add(key === null ? locate(at, 'key') : locate([...at, key]), { message, hint });
  }
}

type Refusal = { key: keyof ProfileOverride | null; message: string; hint: string };

function refusedOverride(name: string, said: ProfileOverride): Refusal | undefined {
  if (name === 'default') {
    const message = 'The profile "default" is "cpu-small" on a rented machine.';
    return { key: null, message, hint: 'Change "cpu-small", or take another name.' };
  }
  const machineType = machineTypeOf(name, said);
  if (machineType === '') {
    const message = `"machine_type" is missing: "${name}" is no built-in profile.`;
    const hint = `Name one such as n2-standard-8, or change one of ${Object.keys(GCE_PROFILES).join(', ')}.`;
    return { key: null, message, hint };
  }
  return (
    refusedAccelerators(machineType, said) ?? refusedGpus(machineType, said) ?? refusedModels(name, said)
  );
}

function refusedAccelerators(machineType: string, said: ProfileOverride): Refusal | undefined {
  if ((said.accelerators ?? null) === null || takesAccelerators(machineType)) return undefined;
  if (builtInGpus(machineType) === 0) {
    const message = `A machine of the type ${machineType} takes no accelerators.`;
    return { key: 'accelerators', message, hint: 'Take a type of the series n1, or one with GPUs built in.' };
  }
  const message = `A machine of the type ${machineType} has its GPUs built in and takes no accelerators.`;
  return { key: 'accelerators', message, hint: 'Remove "accelerators".' };
}

/** A machine is paid for with all its GPUs, so a profile of one must not stand for a machine with eight. */
function refusedGpus(machineType: string, said: ProfileOverride): Refusal | undefined {
  const { accelerators, gpus } = said;
  const has = accelerators?.count ?? builtInGpus(machineType);
  if (has === undefined && !gpus) {
    const message = `The name of the type ${machineType} does not tell how many GPUs it has.`;
    return { key: 'machine_type', message, hint: 'Say it with "gpus".' };
  }
  if (has === undefined || (gpus ?? has) === has) return undefined;
  const message = `"gpus" is ${gpus}, and a machine of the type ${machineType} has ${has === 0 ? 'none' : has}.`;
  return { key: 'gpus', message, hint: 'Remove "gpus", or take a machine type with that many.' };
}

function refusedModels(name: string, said: ProfileOverride): Refusal | undefined {
  const { machineType, models } = merge(name, said);
  if (!isSpotOnly(machineType) || !models.includes('standard')) return undefined;
  const message = `A machine of the type ${machineType} is for rent at the spot price only.`;
  const key = said.provisioning ? 'provisioning' : 'machine_type';
  return { key, message, hint: 'Set provisioning: [spot].' };
}
