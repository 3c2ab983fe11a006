import { z } from 'zod';
import { type Check, type Ground, regionsOf } from './check.ts';
import { grantOnBucket } from './commands.ts';
import { about, type GceFinding, type Say } from './finding.ts';
import { bodyOf, refused } from './refusal.ts';

const STORAGE = 'storage.googleapis.com';

const bucketResource = z.object({
  location: z.string(),
  customPlacementConfig: z.object({ dataLocations: z.array(z.string()).default([]) }).optional(),
  iamConfiguration: z
    .object({ uniformBucketLevelAccess: z.object({ enabled: z.boolean().default(false) }).optional() })
    .optional(),
  versioning: z.object({ enabled: z.boolean().default(false) }).optional(),
  retentionPolicy: z.object({ retentionPeriod: z.string().optional() }).optional(),
  softDeletePolicy: z.object({ retentionDurationSeconds: z.string().default('0') }).optional(),
  billing: z.object({ requesterPays: z.boolean().default(false) }).optional(),
});
type Bucket = z.output<typeof bucketResource>;

/** What is set for the bucket as a whole: where it is, who is let in by what, what is kept that was deleted. */
export const checkBucketSettings: Check = {
  component: 'bucket settings',
  of: 'storage',
  run: async (ground) => {
    const { gce, gcs, access, signal, member } = ground;
    const say = about('bucket settings');
    const bucket = gcs.bucket;
    const project = gce.projectId;
    const url = `https://${STORAGE}/storage/v1/b/${encodeURIComponent(bucket)}?projection=noAcl`;
    const answer = await access.ask({ method: 'GET', url, signal });
    if (answer.status === 200) return judge(ground, bodyOf(bucketResource, answer));
    const [region = 'us-central1'] = regionsOf(gce.zones);
    return [
      refused(say, answer, {
        project,
        api: STORAGE,
        forbidden: () =>
          say.notChecked(
            'may not be looked at (storage.buckets.get), which only this check needs',
            grantOnBucket({ bucket, member, role: 'roles/storage.legacyBucketReader' }),
          ),
        missing: () =>
          say.failed(
            `there is no bucket ${bucket}`,
            `gcloud storage buckets create gs://${bucket} --location=${region} --uniform-bucket-level-access --soft-delete-duration=0 --project=${project}`,
          ),
      }),
    ];
  },
};

function judge({ gce, gcs }: Ground, bucket: Bucket): GceFinding[] {
  const update = `gcloud storage buckets update gs://${gcs.bucket}`;
  const settings = about('bucket settings');
  const found = [...troubles(settings, bucket, update)];
  const access = bucket.iamConfiguration?.uniformBucketLevelAccess?.enabled === true;
  if (!access)
    found.push(
      settings.warning(
        'objects may have access lists of their own; roles on the bucket should be all there is',
        `${update} --uniform-bucket-level-access`,
      ),
    );
  if (found.length === 0) found.push(settings.ok('uniform access, nothing is kept that was deleted'));
  return [checkLocation(about('bucket location'), gce.zones, bucket), ...found];
}

function troubles(say: Say, bucket: Bucket, update: string): GceFinding[] {
  const found: GceFinding[] = [];
  if (bucket.retentionPolicy?.retentionPeriod !== undefined)
    found.push(
      say.failed(
        'a retention policy forbids to replace objects, which controller and machines do all the time',
        `${update} --clear-retention-period`,
      ),
    );
  if (bucket.billing?.requesterPays === true)
    found.push(say.failed('who asks must pay, and nobody says so', `${update} --no-requester-pays`));
  if (bucket.versioning?.enabled === true)
    found.push(
      say.warning(
        'every letter that is replaced is kept as an old version, and paid for',
        `${update} --no-versioning`,
      ),
    );
  const kept = Number(bucket.softDeletePolicy?.retentionDurationSeconds ?? 0);
  if (kept > 0)
    found.push(
      say.warning(
        `what is replaced or deleted is kept for ${Math.round(kept / 86_400)} days, and paid for`,
        `${update} --clear-soft-delete`,
      ),
    );
  return found;
}

/** Two regions by a name of their own. */
const PAIRS: Readonly<Record<string, readonly string[]>> = {
  nam4: ['us-central1', 'us-east1'],
  eur4: ['europe-north1', 'europe-west4'],
  eur5: ['europe-west1', 'europe-west2'],
  eur7: ['europe-west2', 'europe-west3'],
  eur8: ['europe-west3', 'europe-west6'],
  asia1: ['asia-northeast1', 'asia-northeast2'],
};
/** Several regions of a continent: the name, and how its regions begin. */
const CONTINENTS: Readonly<Record<string, string>> = { us: 'us-', eu: 'europe-', asia: 'asia-' };

function checkLocation(say: Say, zones: readonly string[], bucket: Bucket): GceFinding {
  const location = bucket.location.toLowerCase();
  const placed = bucket.customPlacementConfig?.dataLocations.map((name) => name.toLowerCase()) ?? [];
  const regions = placed.length > 0 ? placed : (PAIRS[location] ?? [location]);
  const beginning = placed.length > 0 ? undefined : CONTINENTS[location];
  const far = regionsOf(zones).filter(
    (region) => !regions.includes(region) && (beginning === undefined || !region.startsWith(beginning)),
  );
  if (far.length === 0) return say.ok(`${location}, as the zones`);
  return say.warning(
    `${location}, but there are zones in ${far.join(', ')}: what is moved between the two is paid for, and slow`,
    'take zones near the bucket, or a bucket near the zones: it cannot be moved',
  );
}

const policy = z.object({
  bindings: z.array(z.object({ role: z.string(), members: z.array(z.string()).default([]) })).default([]),
});

const WRITERS = ['roles/storage.objectUser', 'roles/storage.objectAdmin', 'roles/storage.admin'];

/** Read from the bucket's policy: nobody can ask in a machine's name. */
export const checkBucketOfMachines: Check = {
  component: 'bucket for machines',
  of: 'storage',
  run: async ({ gce, gcs, access, signal }) => {
    const say = about('bucket for machines');
    const { bucket } = gcs;
    const member = `serviceAccount:${gce.serviceAccount}`;
    const url = `https://${STORAGE}/storage/v1/b/${encodeURIComponent(bucket)}/iam`;
    const answer = await access.ask({ method: 'GET', url, signal });
    const fix = grantOnBucket({ bucket, member, role: 'roles/storage.objectUser' });
    if (answer.status !== 200)
      return [
        refused(say, answer, {
          project: gce.projectId,
          api: STORAGE,
          forbidden: () => say.notChecked('the policy of the bucket may not be read', fix),
          missing: () => say.notChecked(`there is no bucket ${bucket}`),
        }),
      ];
    const roles = bodyOf(policy, answer)
      .bindings.filter(({ members }) => members.includes(member))
      .map(({ role }) => role);
    if (roles.some((role) => WRITERS.includes(role))) return [say.ok(`${gce.serviceAccount} may use it`)];
    const detail = `its policy names no role with which ${gce.serviceAccount} may write; one of the project, or of a group, does not show here`;
    return [say.warning(detail, fix)];
  },
};
