import { describe, expect, it } from 'vitest';
import { examineGce } from '../../src/doctor/check-gce.ts';
import type { GceFinding } from '../../src/doctor/gce/finding.ts';
import { type Answers, AT, healthyProject, ME, PROJECT, WORKER, wrong } from './healthy-project.ts';

const forbidden = { status: 403, body: { error: { message: 'no', errors: [{ reason: 'forbidden' }] } } };
const missing = { status: 404, body: { error: { message: 'none', errors: [{ reason: 'notFound' }] } } };
const disabled = {
  status: 403,
  body: { error: { message: 'not used before', details: [{ reason: 'SERVICE_DISABLED' }] } },
};

describe('a project in which nothing is wrong', () => {
  it('is ok in every part, and each is told with what was found', async () => {
    const project = healthyProject();
    const findings = await examineGce(project.parts);
    expect(findings.map(({ component, state, detail }) => `${component}: ${state}: ${detail}`)).toEqual([
      `credentials: ok: those of goldfish@${PROJECT}.iam.gserviceaccount.com`,
      'compute api: ok: answers, and lists machines',
      'permissions: ok: all 15 are granted',
      'zones: ok: europe-west4-a, europe-west4-b',
      'profile cpu-small: ok: n2-standard-4 is for rent in europe-west4-a, europe-west4-b',
      'image of cpu-small: ok: goldfish-20260101',
      'quota of cpu-small: ok: room for a machine in europe-west4',
      'network: ok: default',
      'subnetwork europe-west4: ok: default',
      `machine account: ok: machines may be given ${WORKER}`,
      'bucket write: ok: gs://bucket-1',
      'bucket list: ok: gs://bucket-1',
      'bucket read: ok: gs://bucket-1',
      'bucket delete: ok: gs://bucket-1',
      'bucket location: ok: europe-west4, as the zones',
      'bucket settings: ok: uniform access, nothing is kept that was deleted',
      `bucket for machines: ok: ${WORKER} may use it`,
      `registry: ok: europe-west4-docker.pkg.dev/${PROJECT}/goldfish lets Goldfish in`,
      'registry repository: ok: goldfish in europe-west4',
      'registry push: ok: images may be pushed',
      `registry for machines: ok: ${WORKER} may pull`,
    ]);
  });

  it('is only asked: nothing is changed, and the one object that is written is gone again', async () => {
    const project = healthyProject();
    const written: string[] = [];
    const { put } = project.storage;
    project.parts.storage.put = (key, ...rest) => {
      written.push(key);
      return put(key, ...rest);
    };
    await examineGce(project.parts);
    const changing = project.questions.filter(
      ({ method, url }) => method !== 'GET' && !url.endsWith(':testIamPermissions'),
    );
    expect(changing).toEqual([]);
    expect(written).toEqual(['doctor/0123abcd']);
    expect(project.storage.keys()).toEqual([]);
  });
});

describe('what is wrong is told by itself, with the command that mends it', () => {
  const roles = (role: string): string => `--member=${ME} --role=roles/${role}`;
  const cases: [string, Answers, string, Omit<GceFinding, 'component'>][] = [
    [
      'an API that is not enabled',
      { [AT.instances]: disabled },
      'compute api',
      {
        state: 'failed',
        detail: `compute.googleapis.com is not enabled in ${PROJECT}`,
        fix: `gcloud services enable compute.googleapis.com --project=${PROJECT}`,
      },
    ],
    [
      'machines that may not be listed',
      { [AT.instances]: forbidden },
      'compute api',
      {
        state: 'failed',
        detail: 'machines may not be listed (compute.instances.list)',
        fix: `gcloud projects add-iam-policy-binding ${PROJECT} ${roles('compute.instanceAdmin.v1')} --condition=None`,
      },
    ],
    [
      'a permission that is missing',
      { [AT.permissions]: { status: 200, body: { permissions: [] } } },
      'permissions',
      {
        state: 'failed',
        detail: expect.stringMatching(/^not granted: compute\.disks\.create, .*compute\.instances\.create, /),
        fix: `gcloud projects add-iam-policy-binding ${PROJECT} ${roles('compute.instanceAdmin.v1')} --condition=None`,
      },
    ],
    [
      'an API that only this check needs',
      { [AT.permissions]: disabled },
      'permissions',
      {
        state: 'not_checked',
        detail: `cloudresourcemanager.googleapis.com is not enabled in ${PROJECT}`,
        fix: `gcloud services enable cloudresourcemanager.googleapis.com --project=${PROJECT}`,
      },
    ],
    [
      'a person whose questions nobody pays for',
      { [AT.account]: { status: 403, body: { error: { message: 'The API requires a quota project' } } } },
      'machine account',
      {
        state: 'not_checked',
        detail: 'your own credentials name no project on whose account this may be asked',
        fix: `gcloud auth application-default set-quota-project ${PROJECT}`,
      },
    ],
    [
      'credentials that have run out',
      { [AT.zones]: { status: 401, body: {} } },
      'zones',
      {
        state: 'failed',
        detail: 'the credentials are not accepted (HTTP 401)',
        fix: 'gcloud auth application-default login',
      },
    ],
    [
      'a service in trouble',
      { [AT.zones]: { status: 503, body: 'Backend Error' } },
      'zones',
      {
        state: 'not_checked',
        detail: 'the service has trouble of its own (HTTP 503)',
        fix: 'goldfish doctor --gce',
      },
    ],
    [
      'a zone that is not there',
      { [AT.zones]: { status: 200, body: { items: [{ name: 'europe-west4-a', status: 'UP' }] } } },
      'zones',
      {
        state: 'failed',
        detail: 'there is no zone europe-west4-b; is it europe-west4-a?',
        fix: `gcloud compute zones list --project=${PROJECT}`,
      },
    ],
    [
      'an answer that is none',
      { [AT.zones]: { status: 200, body: '<html>' } },
      'zones',
      {
        state: 'failed',
        detail: 'What answered is not the service: its answer makes no sense.',
        fix: 'Look at the proxy of this machine, and at api_endpoint.',
      },
    ],
    [
      'an image that is too large for its disk',
      { [AT.image]: { status: 200, body: { name: 'big', diskSizeGb: '80' } } },
      'image of cpu-small',
      {
        state: 'failed',
        detail: 'big needs a disk of 80 GB, and cpu-small has 50',
        fix: 'set gce.profile_overrides.cpu-small.boot_disk.size_gb to 80',
      },
    ],
    [
      'a quota that is used up',
      { [AT.region]: { status: 200, body: { quotas: [{ metric: 'N2_CPUS', limit: 8, usage: 6 }] } } },
      'quota of cpu-small',
      {
        state: 'warning',
        detail: 'N2_CPUS in europe-west4: 6 of 8 in use, a machine takes 4',
        fix: `gcloud beta quotas preferences create --service=compute.googleapis.com --project=${PROJECT} --quota-id=N2-CPUS-per-project-region --preferred-value=10 --dimensions=region=europe-west4`,
      },
    ],
    [
      'a quota of the whole project',
      {
        [AT.project]: { status: 200, body: { quotas: [{ metric: 'CPUS_ALL_REGIONS', limit: 2, usage: 0 }] } },
      },
      'quota of cpu-small',
      {
        state: 'warning',
        detail: 'CPUS_ALL_REGIONS: 0 of 2 in use, a machine takes 4',
        fix: `gcloud beta quotas preferences create --service=compute.googleapis.com --project=${PROJECT} --quota-id=CPUS-ALL-REGIONS-per-project --preferred-value=4`,
      },
    ],
    [
      'a quota that is not listed',
      { [AT.region]: { status: 200, body: { quotas: [] } } },
      'quota of cpu-small',
      {
        state: 'not_checked',
        detail: 'the service lists no limit for n2-standard-4',
        fix: `look at https://console.cloud.google.com/iam-admin/quotas?project=${PROJECT}`,
      },
    ],
    [
      'a network without subnetworks',
      { [AT.network]: { status: 200, body: { autoCreateSubnetworks: false } } },
      'network',
      {
        state: 'failed',
        detail: 'default has no subnetwork of its own in every region, and gce.subnetwork names none',
        fix: `gcloud compute networks subnets list --network=default --project=${PROJECT}`,
      },
    ],
    [
      'an account that machines may not be given',
      { [AT.account]: { status: 200, body: {} } },
      'machine account',
      {
        state: 'failed',
        detail: `machines may not be given ${WORKER} (iam.serviceAccounts.actAs)`,
        fix: `gcloud iam service-accounts add-iam-policy-binding ${WORKER} ${roles('iam.serviceAccountUser')} --project=${PROJECT}`,
      },
    ],
    [
      'an account that is not there',
      { [AT.account]: missing },
      'machine account',
      {
        state: 'failed',
        detail: `there is no account ${WORKER}`,
        fix: `gcloud iam service-accounts create worker --project=${PROJECT}`,
      },
    ],
    [
      'a bucket that is not there',
      { [AT.bucket]: missing },
      'bucket settings',
      {
        state: 'failed',
        detail: 'there is no bucket bucket-1',
        fix: `gcloud storage buckets create gs://bucket-1 --location=europe-west4 --uniform-bucket-level-access --soft-delete-duration=0 --project=${PROJECT}`,
      },
    ],
    [
      'a machine that may not write',
      { [AT.bucketPolicy]: { status: 200, body: { bindings: [] } } },
      'bucket for machines',
      {
        state: 'warning',
        detail: `its policy names no role with which ${WORKER} may write; one of the project, or of a group, does not show here`,
        fix: `gcloud storage buckets add-iam-policy-binding gs://bucket-1 --member=serviceAccount:${WORKER} --role=roles/storage.objectUser`,
      },
    ],
    [
      'a policy that may not be read',
      { [AT.pull]: forbidden },
      'registry for machines',
      {
        state: 'not_checked',
        detail: 'the policy of the repository may not be read',
        fix: `gcloud artifacts repositories add-iam-policy-binding goldfish --location=europe-west4 --project=${PROJECT} --member=serviceAccount:${WORKER} --role=roles/artifactregistry.reader`,
      },
    ],
    [
      'a repository that is not there',
      { [AT.repository]: missing },
      'registry repository',
      {
        state: 'failed',
        detail: 'there is no repository goldfish in europe-west4',
        fix: `gcloud artifacts repositories create goldfish --repository-format=docker --location=europe-west4 --project=${PROJECT}`,
      },
    ],
    [
      'images that may not be pushed',
      {
        [AT.push]: {
          status: 200,
          body: { permissions: ['artifactregistry.repositories.downloadArtifacts'] },
        },
      },
      'registry push',
      {
        state: 'failed',
        detail: 'not granted: artifactregistry.repositories.uploadArtifacts',
        fix: `gcloud artifacts repositories add-iam-policy-binding goldfish --location=europe-west4 --project=${PROJECT} ${roles('artifactregistry.writer')}`,
      },
    ],
  ];
  it.each(cases)('%s', async (_name, answers, component, finding) => {
    expect(await wrong(answers)).toEqual([[component, finding]]);
  });
});
