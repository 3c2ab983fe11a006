import { CLOUD_PROFILES, CLOUD_REFUSAL, type NamedProfile, profileBook } from '../config/profiles.ts';
import { isGoldfishError } from '../core/errors.ts';
import { resolveCompute } from '../pipeline/resolve-compute.ts';
import { misfitsOf } from './check-fit.ts';
import type { RunsDeps } from './deps.ts';
import { type GivenCompute, giver } from './settle-compute.ts';

/** A profile as a stage that says nothing else would get it. `given` is null where it cannot run now. */
export type ListedProfile = {
  name: string;
  description: string | null;
  origin: NamedProfile['origin'];
  pricePerHour: number | null;
  available: boolean;
  /** Why it is, or is not. */
  why: string;
  given: GivenCompute | null;
};

/**
 * Every profile there is, with what it means here and now, by the resolver that plans use too. With `backend`, as if
 * every stage named that one. Changes nothing, starts nothing.
 */
export async function listProfiles(
  deps: Pick<RunsDeps, 'backends' | 'config' | 'settings'>,
  request: { backend?: string | undefined },
): Promise<ListedProfile[]> {
  const profiles = profileBook(deps.config);
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
    const { description, origin, pricePerHour } = profile;
    const row = { name, description, origin, pricePerHour };
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
  return [...listed, ...cloudProfiles(profiles.names)];
}

/** Those that the contract names and nobody can use yet; a profile of the user's own may have taken the name. */
function cloudProfiles(taken: readonly string[]): ListedProfile[] {
  return Object.entries(CLOUD_PROFILES).flatMap(([name, description]) => {
    if (taken.includes(name)) return [];
    const why = `It ${CLOUD_REFUSAL.why}. ${CLOUD_REFUSAL.hint}`;
    const none = { pricePerHour: null, available: false, given: null };
    return [{ name, description, origin: 'built-in', why, ...none } as const];
  });
}
