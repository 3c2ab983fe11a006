import { describe, expect, it } from 'vitest';
import { GCE_PROFILES } from '../../src/config/gce-profiles.ts';
import { GoldfishError } from '../../src/core/errors.ts';
import { AT, examine, healthyProject, ME, PROJECT, wrong } from './healthy-project.ts';

describe('the bucket', () => {
  const bucket = (changes: object) => ({
    [AT.bucket]: {
      status: 200,
      body: {
        location: 'EU',
        iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
        ...changes,
      },
    },
  });
  it.each(['EU', 'EUR4', 'europe-west4'])('in %s is near zones of europe-west4', async (location) => {
    expect(await wrong(bucket({ location }))).toEqual([]);
  });
  it.each(['US', 'ASIA1', 'EUROPE-WEST1', 'EUR5'])('in %s is not', async (location) => {
    const detail = `${location.toLowerCase()}, but there are zones in europe-west4: what is moved between the two is paid for, and slow`;
    const fix = 'take zones near the bucket, or a bucket near the zones: it cannot be moved';
    expect(await wrong(bucket({ location }))).toEqual([
      ['bucket location', { state: 'warning', detail, fix }],
    ]);
  });
  it('of two regions that somebody chose is near where one of them is a zone’s', async () => {
    const dataLocations = ['EUROPE-WEST4', 'EUROPE-WEST1'];
    expect(await wrong(bucket({ customPlacementConfig: { dataLocations } }))).toEqual([]);
  });
  it.each([
    [{ retentionPolicy: { retentionPeriod: '3600' } }, 'failed', '--clear-retention-period'],
    [{ billing: { requesterPays: true } }, 'failed', '--no-requester-pays'],
    [{ versioning: { enabled: true } }, 'warning', '--no-versioning'],
    [{ softDeletePolicy: { retentionDurationSeconds: '604800' } }, 'warning', '--clear-soft-delete'],
    [{ iamConfiguration: {} }, 'warning', '--uniform-bucket-level-access'],
  ])('with %j is told, with what changes it', async (changes, state, option) => {
    expect(await wrong(bucket(changes))).toEqual([
      [
        'bucket settings',
        {
          state,
          detail: expect.any(String),
          fix: `gcloud storage buckets update gs://bucket-1 ${option}`,
        },
      ],
    ]);
  });

  it('that lets nobody write says so once, and what depends on it is not checked', async () => {
    const project = healthyProject();
    project.parts.storage.put = async () => {
      const message = 'The bucket "bucket-1" does not let Goldfish in (HTTP 403).';
      throw new GoldfishError('STORAGE_UNAVAILABLE', { message, details: { status: 403 } });
    };
    const found = await examine(project);
    expect(found.get('bucket write')).toEqual({
      state: 'failed',
      detail: 'The bucket "bucket-1" does not let Goldfish in (HTTP 403).',
      fix: `gcloud storage buckets add-iam-policy-binding gs://bucket-1 --member=${ME} --role=roles/storage.objectUser`,
    });
    expect(found.get('bucket list')?.state).toBe('ok');
    const skipped = { state: 'not_checked', detail: 'nothing could be written', fix: null };
    expect([found.get('bucket read'), found.get('bucket delete')]).toEqual([skipped, skipped]);
  });

  it('is not left with an object in it where it cannot be read', async () => {
    const project = healthyProject();
    project.parts.storage.get = async () => {
      throw new GoldfishError('STORAGE_UNAVAILABLE', { message: 'The storage does not answer.' });
    };
    const found = await examine(project);
    expect([found.get('bucket read')?.state, project.storage.keys()]).toEqual(['failed', []]);
  });
});

describe('profiles', () => {
  const h100 = GCE_PROFILES['h100-spot']!;
  const noGpus = { [AT.typesA]: { status: 200, body: {} }, [AT.typesB]: { status: 200, body: {} } };

  it('that are built in and for rent nowhere near are a warning; those that somebody has set have failed', async () => {
    const image = { status: 200, body: { name: 'cuda', diskSizeGb: '50' } };
    const path = `GET https://compute.googleapis.com/compute/v1/${h100.bootDisk.image}`;
    const profiles = { 'h100-spot': h100, mine: { ...h100, machineType: 'a3-highgpu-2g' } };
    const found = await examine(healthyProject({ ...noGpus, [path]: image }, { profiles }));
    expect(found.get('profile h100-spot')).toEqual({
      state: 'warning',
      detail: 'a3-highgpu-1g is for rent in none of gce.zones',
      fix: `gcloud compute machine-types list --filter="name=a3-highgpu-1g" --project=${PROJECT}`,
    });
    expect(found.get('profile mine')?.state).toBe('failed');
  });

  it('have failed where what runs everything else cannot be rented', async () => {
    expect((await wrong(noGpus)).map(([component, { state }]) => [component, state])).toEqual([
      ['profile cpu-small', 'failed'],
    ]);
  });

  it('are not judged by a zone that does not answer', async () => {
    const answers = { [AT.typesA]: { status: 200, body: {} }, [AT.typesB]: { status: 503, body: '' } };
    expect(await wrong(answers)).toEqual([
      [
        'profile cpu-small',
        {
          state: 'not_checked',
          detail: 'n2-standard-4 was not found, and nothing is known of europe-west4-b',
          fix: null,
        },
      ],
    ]);
  });

  it('whose machines would wait for a container engine in vain are told before anything is rented', async () => {
    const debian = { status: 200, body: { name: 'debian-12-bookworm-v20260115', diskSizeGb: '10' } };
    const profiles = { 'cpu-small': GCE_PROFILES['cpu-small']! };
    expect(await wrong({ [AT.debian]: debian }, { profiles })).toEqual([
      [
        'image of cpu-small',
        {
          state: 'failed',
          detail:
            'debian-12-bookworm-v20260115 has no container engine, without which a machine ends the run at once',
          fix: 'make an image (docs/gce.md, "The image of the machines"), and name it in gce.profile_overrides',
        },
      ],
    ]);
  });
});

describe('the network', () => {
  it('without a way out is a warning where machines have no address of their own', async () => {
    const answers = { [AT.subnetwork]: { status: 200, body: { privateIpGoogleAccess: false } } };
    expect(await wrong(answers)).toEqual([]);
    expect(await wrong(answers, { externalAddress: false })).toEqual([
      [
        'subnetwork europe-west4',
        {
          state: 'warning',
          detail:
            'machines get no external address, and default has no Private Google Access: without a Cloud NAT they reach nothing',
          fix: `gcloud compute networks subnets update default --enable-private-ip-google-access --region=europe-west4 --project=${PROJECT}`,
        },
      ],
    ]);
  });

  it('of another project is asked there, and its subnetwork fits the zones of its region only', async () => {
    const compute = 'GET https://compute.googleapis.com/compute/v1/projects/host';
    const answers = {
      [`${compute}/global/networks/shared`]: { status: 200, body: {} },
      [`${compute}/regions/europe-west1/subnetworks/mine`]: { status: 200, body: {} },
    };
    const network = 'projects/host/global/networks/shared';
    const subnetwork = 'projects/host/regions/europe-west1/subnetworks/mine';
    expect(await wrong(answers, { network, subnetwork })).toEqual([
      [
        'subnetwork',
        {
          state: 'warning',
          detail:
            'gce.subnetwork is in europe-west1; no machine can be had in europe-west4-a, europe-west4-b',
          fix: 'take these zones out of gce.zones, or take gce.subnetwork out',
        },
      ],
    ]);
  });
});
