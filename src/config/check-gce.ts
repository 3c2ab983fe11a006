import { isJsonObject, type Json } from '../core/json.ts';
import { unknownName } from './check-shape.ts';
import { BOOT_SECONDS, GCE, GCE_HINT } from './gce-keys.ts';
import { checkOverrides, mergeOverrides } from './gce-overrides.ts';
import { CONNECTION_FORMS } from './gce-schema.ts';
import type { Modern } from './legacy.ts';
import type { Path, ProblemList } from './problem.ts';
import type { ConfigFile } from './schema.ts';

type Check = Pick<Modern, 'locate' | 'written'> & { problems: ProblemList };

/** Judged by the values as they stand, so that a bucket that is missing is told with all else that is. */
export function checkBucket(value: Json, { locate, problems }: Pick<Check, 'locate' | 'problems'>): void {
  if (!isJsonObject(value) || (value['gce'] ?? null) === null) return;
  const storage = value['storage'] ?? {};
  // One of another kind is refused for that.
  if (!isJsonObject(storage) || (storage['gcs'] ?? null) !== null) return;
  const { error } = CONNECTION_FORMS['storage.gcs.bucket'];
  problems.add(locate(['gce'], 'key'), { message: '"storage.gcs.bucket" is missing.', hint: `It ${error}.` });
}

/** What sections say of one another where rented machines are concerned. */
export function checkGce(file: ConfigFile, check: Check): void {
  const { gce } = file;
  if (gce === null) {
    checkNotNamed(file, check);
    return;
  }
  checkOverrides(gce.profile_overrides, check);
  const machines = Object.keys(mergeOverrides(gce.profile_overrides));
  for (const [index, name] of (gce.warm_pool.profiles ?? []).entries()) {
    if (machines.includes(name)) continue;
    const place = check.locate(['gce', 'warm_pool', 'profiles', index]);
    check.problems.add(place, unknownName('profile', name, machines));
  }
  checkLaunchTimeout(file.defaults, check);
}

type Named = [path: Path, backend: string | null | undefined];

/** A backend that is named and not configured would only be noticed by the stages that use it. */
function checkNotNamed(file: ConfigFile, { locate, problems }: Check): void {
  const named: Named[] = [
    [['defaults', 'backend'], file.defaults.backend],
    ...Object.entries(file.profiles).map(
      ([name, { backend }]): Named => [['profiles', name, 'backend'], backend],
    ),
  ];
  for (const [path, backend] of named) {
    if (backend !== GCE) continue;
    const message = `"${path.join('.')}" is ${GCE}, and there is no section "${GCE}".`;
    problems.add(locate(path), { message, hint: GCE_HINT });
  }
}

/** A run must not be given up while a place for its machine is still looked for, or the machine boots. */
function checkLaunchTimeout(defaults: ConfigFile['defaults'], { locate, written, problems }: Check): void {
  const { launch_timeout_seconds: launch, capacity_wait_seconds: wait } = defaults;
  if (launch >= wait + BOOT_SECONDS) return;
  const timeout: Path = ['defaults', 'launch_timeout_seconds'];
  // At least one of the two stands there: what is built in fits.
  const path: Path = written(timeout) ? timeout : ['defaults', 'capacity_wait_seconds'];
  problems.add(locate(path), {
    message: `"defaults.launch_timeout_seconds" (${launch}) must be at least "defaults.capacity_wait_seconds" (${wait}) and ${BOOT_SECONDS} s for a machine to boot.`,
    hint: `Set defaults.launch_timeout_seconds to ${wait + BOOT_SECONDS} or more, or look for a machine for a shorter time.`,
  });
}
