import type { ErrorCode } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import { nearest } from '../core/suggest.ts';
import type { Profile } from './config.ts';

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

/** Profiles of rented machines, and what each is, for the refusal and the list. */
export const CLOUD_PROFILES: Readonly<Record<string, string>> = {
  'h100-spot': 'A rented machine with one H100, at the spot price',
  'h100-on-demand': 'A rented machine with eight H100',
  'a100-spot': 'A rented machine with one A100, at the spot price',
  'a100-on-demand': 'A rented machine with one A100',
};
export const CLOUD_REFUSAL = {
  why: 'needs a rented machine, and the backend "gce" is not built yet',
  hint: 'It will want gce.project_id, gce.zones and storage.gcs.bucket in goldfish.yaml. Until then take a local profile, or define this one under "profiles".',
};

export function profileBook(config: { profiles: Readonly<Record<string, Profile>> }): ProfileBook {
  const known = new Map<string, NamedProfile>();
  for (const [name, description] of Object.entries(LOCAL)) {
    known.set(name, { ...NOTHING, name, description, origin: 'built-in' });
  }
  // A profile of the user's own may take a built-in name, and is then what it says.
  for (const [name, profile] of Object.entries(config.profiles)) {
    known.set(name, { ...profile, name, origin: 'goldfish.yaml' });
  }
  const names = [...known.keys()];
  return { names, get: (name) => known.get(name), refuse: (name) => refuse(names, name) };
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
