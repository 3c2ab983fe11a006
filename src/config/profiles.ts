import type { ErrorCode } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import { nearest } from '../core/suggest.ts';
import type { Profile } from './config.ts';
import { type GceConfig, machineProfileOf } from './gce.ts';
import { GCE, GCE_HINT } from './gce-keys.ts';
import { GCE_PROFILES, type GceProfile } from './gce-profiles.ts';

/** A profile by name, with where it is defined. */
export type NamedProfile = Profile & { name: string; origin: 'built-in' | 'goldfish.yaml' };

export type ProfileRefusal = {
  code: Extract<ErrorCode, 'PROFILE_UNKNOWN' | 'NOT_SUPPORTED'>;
  message: string;
  hint: string;
  allowed: string[];
};

/** Every amount of compute that can be named. The one resolver: validation, plans and list_profiles ask it. */
export type ProfileBook = {
  /** Those that can be used, the built-in ones first. */
  names: readonly string[];
  get(name: string): NamedProfile | undefined;
  /** Why a name cannot be used; undefined where it can. */
  refuse(name: string): ProfileRefusal | undefined;
};

/** Local backends give these the same: what they give a stage that says nothing. */
const LOCAL: Readonly<Record<string, string>> = {
  default: 'What the backend gives a stage that says nothing',
  'cpu-small': 'The limits of this machine, until rented ones are configured',
  'cpu-large': 'The limits of this machine, until rented ones are configured',
};

/** Profiles that only rented machines have, for the refusal and the list where there are none. */
export const CLOUD_PROFILES: Readonly<Record<string, GceProfile>> = Object.fromEntries(
  Object.entries(GCE_PROFILES).filter(([name]) => !Object.hasOwn(LOCAL, name)),
);
export const CLOUD_REFUSAL = {
  why: 'needs a rented machine, and the backend "gce" is not configured',
  hint: `${GCE_HINT} Or take a local profile, or define this one under "profiles".`,
};

type Source = {
  profiles: Readonly<Record<string, Profile>>;
  /** Null: there are no rented machines. */
  gce: Pick<GceConfig, 'profiles'> | null;
};

export function profileBook({ profiles, gce }: Source): ProfileBook {
  const known = new Map<string, NamedProfile>();
  for (const [name, description] of Object.entries(LOCAL)) {
    known.set(name, { ...NOTHING, name, description, origin: 'built-in' });
  }
  for (const [name, machine] of Object.entries(gce?.profiles ?? {})) known.set(name, rented(name, machine));
  // A profile of the user's own may take a built-in name, and is then what it says.
  for (const [name, profile] of Object.entries(profiles)) {
    known.set(name, { ...withMachine(name, profile, gce), name, origin: 'goldfish.yaml' });
  }
  const names = [...known.keys()];
  return { names, get: (name) => known.get(name), refuse: (name) => refuse(names, name) };
}

/** Selects rented machines; a backend that is named beats it, and then the profile says nothing but its GPUs. */
function rented(name: string, machine: GceProfile): NamedProfile {
  const elsewhere = Object.hasOwn(LOCAL, name) ? '; on a backend that is named, what that gives' : '';
  return {
    ...NOTHING,
    name,
    description: `${machine.description}${elsewhere}`,
    backend: GCE,
    gpus: machine.gpus === 0 ? null : machine.gpus,
    // Where the file says nothing of it, it is the very same.
    origin: machine === GCE_PROFILES[name] ? 'built-in' : 'goldfish.yaml',
  };
}

/** Of a machine that the user's own profile selects it has the GPUs, unless it says how many of them. */
function withMachine(name: string, profile: Profile, gce: Source['gce']): Profile {
  if (gce === null || profile.backend !== GCE || profile.gpus !== null) return profile;
  const machine = gce.profiles[machineProfileOf(gce, name)];
  return { ...profile, gpus: machine === undefined || machine.gpus === 0 ? null : machine.gpus };
}

const NOTHING: Profile = {
  description: null,
  backend: null,
  memoryBytes: null,
  cpus: null,
  gpus: null,
  pidsLimit: null,
  network: null,
  image: null,
  pricePerHour: null,
};

function refuse(names: readonly string[], name: string): ProfileRefusal | undefined {
  if (names.includes(name)) return undefined;
  const allowed = names.slice(0, 100);
  if (Object.hasOwn(CLOUD_PROFILES, name)) {
    const message = `The profile "${name}" ${CLOUD_REFUSAL.why}.`;
    return { code: 'NOT_SUPPORTED', message, hint: CLOUD_REFUSAL.hint, allowed };
  }
  const near = nearest(name, [...names, ...Object.keys(CLOUD_PROFILES)]);
  return {
    code: 'PROFILE_UNKNOWN',
    message: `Unknown profile "${clip(name)}".`,
    hint: near === undefined ? `Known: ${clip(names.join(', '), 300)}.` : `Did you mean "${near}"?`,
    allowed,
  };
}
