import { machineProfileOf } from '../config/gce.ts';
import { GCE, gceNotConfigured } from '../config/gce-keys.ts';
import type { GceProfile } from '../config/gce-profiles.ts';
import { CLOUD_PROFILES, CLOUD_REFUSAL, type NamedProfile, profileBook } from '../config/profiles.ts';
import { isGoldfishError } from '../core/errors.ts';
import type { ProvisioningModel } from '../core/rows.ts';
import { resolveCompute } from '../pipeline/resolve-compute.ts';
import { misfitsOf } from './check-fit.ts';
import type { RunsDeps } from './deps.ts';
import { type GivenCompute, giver } from './settle-compute.ts';

/** A profile as a stage that says nothing else would get it. `given` is null where it cannot run now. */
export type ListedProfile = {
  name: string;
  description: string | null;
  origin: NamedProfile['origin'];
  /** Of the profile itself, else of the machine that is rented for it, paid for in the way that is tried first. */
  pricePerHour: number | null;
  available: boolean;
  /** Why it is, or is not. */
  why: string;
  given: GivenCompute | null;
  /** What is rented for it; null: nothing. */
  machine: ListedMachine | null;
};

export type ListedMachine = {
  machineType: string;
  /** Where it is looked for, and how it is paid for, in the order to try. */
  zones: readonly string[];
  models: readonly ProvisioningModel[];
  /** Of each of these; null where nobody said. */
  pricesPerHour: readonly (number | null)[];
};

type Deps = Pick<RunsDeps, 'backends' | 'config' | 'settings'>;

/**
 * Every profile there is, with what it means here and now, by the resolver that plans use too. With `backend`, as if
 * every stage named that one. Changes nothing, starts nothing. Errors: BACKEND_UNAVAILABLE for rented machines where none
 * are configured.
 */
export async function listProfiles(
  deps: Deps,
  request: { backend?: string | undefined },
): Promise<ListedProfile[]> {
  const { gce } = deps.config;
  const profiles = profileBook(deps.config);
  if (request.backend === GCE && gce === null) throw gceNotConfigured();
  const give = giver(deps);
  const listed: ListedProfile[] = [];
  for (const name of profiles.names) {
    const profile = profiles.get(name);
    if (profile === undefined) continue;
    const asked = resolveCompute({
      stage: { compute: { profile: name, backend: request.backend }, image: undefined },
      originOf: () => 'call',
      call: {},
      profiles,
      defaults: deps.config.defaults,
      settings: deps.settings,
    });
    const { description, origin } = profile;
    const rented = asked.backend.value === GCE ? gce?.profiles[machineProfileOf(gce, name)] : undefined;
    const pricePerHour = profile.pricePerHour ?? priceOf(rented);
    const machine = rented === undefined ? null : toMachine(rented, gce?.zones ?? []);
    const row = { name, description, origin, pricePerHour, machine };
    try {
      const given = await give(asked);
      const [misfit] = misfitsOf('A stage of this profile', asked, given);
      const why = misfit?.message ?? given.choice.why;
      listed.push({ ...row, available: misfit === undefined, why, given });
    } catch (error) {
      if (!isGoldfishError(error)) throw error;
      listed.push({ ...row, available: false, why: error.message, given: null });
    }
  }
  return gce === null ? [...listed, ...cloudProfiles(profiles.names)] : listed;
}

function toMachine(profile: GceProfile, zones: readonly string[]): ListedMachine {
  const { machineType, models, pricePerHour } = profile;
  return { machineType, zones, models, pricesPerHour: models.map((model) => pricePerHour[model]) };
}

function priceOf(rented: GceProfile | undefined): number | null {
  const [first] = rented?.models ?? [];
  return rented === undefined || first === undefined ? null : rented.pricePerHour[first];
}

/** Those that only rented machines have, where there are none; a profile of the user's own may have taken the name. */
function cloudProfiles(taken: readonly string[]): ListedProfile[] {
  return Object.entries(CLOUD_PROFILES).flatMap(([name, profile]) => {
    if (taken.includes(name)) return [];
    const why = `It ${CLOUD_REFUSAL.why}. ${CLOUD_REFUSAL.hint}`;
    const { description } = profile;
    const none = { pricePerHour: null, available: false, given: null };
    return [
      { name, description, origin: 'built-in', why, ...none, machine: toMachine(profile, []) } as const,
    ];
  });
}
