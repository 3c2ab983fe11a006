import type { Config } from '../config/config.ts';
import { GCE_HINT } from '../config/gce-keys.ts';
import type { Clock } from '../core/clock.ts';
import { GoldfishError, isGoldfishError, messageOf } from '../core/errors.ts';
import type { Check, GceParts, Ground } from './gce/check.ts';
import { checkBucketOfMachines, checkBucketSettings } from './gce/check-bucket.ts';
import { checkImages } from './gce/check-images.ts';
import { checkNetwork, checkSubnetworks } from './gce/check-network.ts';
import { checkObjects } from './gce/check-objects.ts';
import { checkMachineTypes, checkZones } from './gce/check-places.ts';
import {
  checkComputeApi,
  checkCredentials,
  checkMachineAccount,
  checkPermissions,
} from './gce/check-project.ts';
import { checkQuotas } from './gce/check-quotas.ts';
import { checkPullOfMachines, checkPush, checkRepository, checkSignIn } from './gce/check-registry.ts';
import { AGAIN, LOGIN, memberOf } from './gce/commands.ts';
import { about, type GceFinding } from './gce/finding.ts';

/** In the order in which one builds upon the other; each is tried all the same. */
const CHECKS: readonly Check[] = [
  checkCredentials,
  checkComputeApi,
  checkPermissions,
  checkZones,
  checkMachineTypes,
  checkImages,
  checkQuotas,
  checkNetwork,
  checkSubnetworks,
  checkMachineAccount,
  checkObjects,
  checkBucketSettings,
  checkBucketOfMachines,
  checkSignIn,
  checkRepository,
  checkPush,
  checkPullOfMachines,
];

/** For one check, with all of its calls. */
const LIMIT_MS = 20_000;
/** More than taking away an object may take. */
const GRACE_MS = 6_000;

/** What an opened project knows of rented machines. `rented`: null where they are not configured. */
export type RentingProject = Pick<GceParts, 'clock' | 'ids'> & {
  config: Pick<Config, 'gce' | 'storage'>;
  rented(): Promise<Pick<GceParts, 'access' | 'storage' | 'registry'> | null>;
};

/** As `examineGce`; a project that does not configure rented machines is told which keys to set. */
export async function examineRented(project: RentingProject): Promise<GceFinding[]> {
  const { config, clock, ids } = project;
  const { gce } = config;
  const { gcs } = config.storage;
  const say = about('settings');
  if (gce?.problem !== undefined) return [say.failed(gce.problem, GCE_HINT)];
  const rented = gce === null || gcs === null ? null : await project.rented();
  if (gce === null || gcs === null || rented === null)
    return [say.failed('no rented machines are configured', GCE_HINT)];
  return examineGce({ ...rented, gce, gcs, clock, ids });
}

/**
 * What rented machines need, each permission and setting by a harmless call of its own: most only ask what would be
 * allowed, and the one object that is written is taken away again. None waits for another, and none longer than 20 s.
 */
export async function examineGce(parts: GceParts): Promise<GceFinding[]> {
  const member = memberOf(await emailOf(parts));
  const findings = await Promise.all(CHECKS.map((check) => perform(check, { ...parts, member })));
  return findings.flat();
}

/** For the commands that are proposed. That it cannot be found out is said by the check of the credentials. */
async function emailOf({ access, clock, gce }: GceParts): Promise<string | null> {
  if (gce.apiEndpoint !== null) return null;
  try {
    return (await withinLimit(clock, (signal) => access.account({ signal }))).email;
  } catch {
    return null;
  }
}

async function perform(check: Check, ground: Omit<Ground, 'signal'>): Promise<GceFinding[]> {
  const say = about(check.component);
  if (isEmulated(check, ground)) return [say.notChecked('an emulator is configured')];
  try {
    return await withinLimit(ground.clock, (signal) => check.run({ ...ground, signal }));
  } catch (error) {
    if (!isGoldfishError(error)) return [say.failed(messageOf(error), null)];
    if (error.details['credentials'] === true)
      return [say.notChecked('there are no valid credentials', LOGIN)];
    return [say.failed(error.message, error.hint ?? null)];
  }
}

/** An emulator of machines knows machines, one of buckets objects; the rest is known to the service alone. */
function isEmulated({ of }: Check, { gce, gcs }: Pick<GceParts, 'gce' | 'gcs'>): boolean {
  if (of === 'google') return gce.apiEndpoint !== null;
  return of === 'storage' && gcs.apiEndpoint !== null;
}

const LATE = Symbol('late');

/** Errors: BACKEND_UNAVAILABLE after the limit; those of the work. */
async function withinLimit<T>(clock: Clock, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new AbortController();
  const over = new AbortController();
  const done = work(limit.signal);
  const late = clock.sleep(LIMIT_MS, { signal: over.signal }).then((): typeof LATE => LATE);
  try {
    const first = await Promise.race([done, late]);
    if (first !== LATE) return first;
    limit.abort();
    // It may have something to take away.
    const grace = clock.sleep(GRACE_MS, { signal: over.signal });
    await Promise.race([done.catch(() => undefined), grace]);
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `There was no answer within ${LIMIT_MS / 1000} s.`,
      hint: AGAIN,
    });
  } finally {
    over.abort();
  }
}
