import { machineProfileOf } from '../../config/gce.ts';
import type { GceProfile } from '../../config/gce-profiles.ts';
import { GoldfishError } from '../../core/errors.ts';
import { hashJson } from '../../core/json.ts';
import { nearest } from '../../core/suggest.ts';
import type { JobRequest } from '../../pool/take-worker.ts';
import type { RunSpec } from '../port.ts';
import { LONGEST_LIFE_SECONDS } from './instance-body.ts';
import type { GceBackendOptions } from './options.ts';

/** Beside the program's own time: fetching of image and inputs, sending of outputs. */
const AROUND_SECONDS = 3_600;
/** Beside the job: the machine's boot, and an engine and a driver that take their time. */
const MACHINE_SECONDS = 900;

/** A stage whose machine would have to live longer can never have one. */
export const LONGEST_SECONDS = LONGEST_LIFE_SECONDS - AROUND_SECONDS - MACHINE_SECONDS;

export type NamedGceProfile = { name: string; profile: GceProfile };

/** Errors: PROFILE_UNKNOWN. */
export function profileOf({ gce }: Pick<GceBackendOptions, 'gce'>, name: string): NamedGceProfile {
  const machine = machineProfileOf(gce, name);
  const profile = gce.profiles[machine];
  if (profile !== undefined) return { name: machine, profile };
  const near = nearest(name, Object.keys(gce.profiles));
  throw new GoldfishError('PROFILE_UNKNOWN', {
    message: `There is no kind of rented machine "${name}".`,
    hint: near ? `Did you mean "${near}"?` : `There are ${Object.keys(gce.profiles).join(', ')}.`,
  });
}

/** Seconds from the claim of a job until its machine gives it up. */
export function limitOf(spec: Pick<RunSpec, 'timeoutSeconds' | 'stopGraceSeconds'>): number {
  return Math.ceil(spec.timeoutSeconds + spec.stopGraceSeconds + AROUND_SECONDS);
}

export function jobRequest(
  { gce, defaults }: Pick<GceBackendOptions, 'gce' | 'defaults'>,
  spec: RunSpec,
  { name, profile, digest, program }: NamedGceProfile & { digest: string; program: string },
): JobRequest {
  const { runId, attempt } = spec;
  return {
    runId,
    attempt,
    profile: name,
    shape: shapeOf(profile, program),
    zones: gce.zones,
    models: profile.models,
    images: [digest],
    capacityWaitSeconds: spec.capacityWaitSeconds ?? defaults.capacityWaitSeconds,
    maxSeconds: limitOf(spec) + MACHINE_SECONDS,
  };
}

/** All that makes one machine another than the next, and nothing of what it is called or costs. */
function shapeOf(
  { machineType, accelerators, gpus, bootDisk, dataDisks }: GceProfile,
  program: string,
): string {
  return hashJson({
    machineType,
    accelerators: accelerators === null ? null : { ...accelerators },
    gpus,
    // A kept machine has that of the version that rented it, and containers are given its folders.
    program,
    bootDisk: { ...bootDisk },
    dataDisks: dataDisks.map((disk) => ({ ...disk })),
  });
}

/** By the names of the service: `n2-standard-4` has four. A type that does not say so has no limit here. */
export function processorsOf({ machineType }: GceProfile): number {
  const count = /-(\d+)$/.exec(machineType)?.[1];
  return count === undefined ? Number.MAX_SAFE_INTEGER : Number(count);
}
