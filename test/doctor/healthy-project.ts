import type { GoogleAccess, GoogleAnswer, GoogleQuestion } from '../../src/backends/google-access.ts';
import { GCE_PROFILES } from '../../src/config/gce-profiles.ts';
import { systemClock } from '../../src/core/clock.ts';
import { examineGce } from '../../src/doctor/check-gce.ts';
import type { GceParts } from '../../src/doctor/gce/check.ts';
import type { GceFinding } from '../../src/doctor/gce/finding.ts';
import { createMemoryStorage, type MemoryStorage } from '../support/memory-storage.ts';

export const PROJECT = 'p-123456';
export const WORKER = `worker@${PROJECT}.iam.gserviceaccount.com`;
/** As policies name whose credentials are found. */
export const ME = `serviceAccount:goldfish@${PROJECT}.iam.gserviceaccount.com`;
const ZONES = ['europe-west4-a', 'europe-west4-b'];
const IMAGE = `projects/${PROJECT}/global/images/family/goldfish`;

/** What a part of Google answers, by method and address without its query. */
export type Answers = Record<string, GoogleAnswer>;

export type HealthyProject = {
  parts: GceParts;
  storage: MemoryStorage;
  questions: GoogleQuestion[];
  /** Whose credentials are found; a function that throws stands for none. */
  account: () => { email: string | null };
};

const good = (body: object): GoogleAnswer => ({ status: 200, body });
/** Everything that is asked for is granted. */
const grants = ({ body }: GoogleQuestion): GoogleAnswer => good({ ...body });

const COMPUTE = 'https://compute.googleapis.com/compute/v1';
export const AT = {
  instances: `GET ${COMPUTE}/projects/${PROJECT}/aggregated/instances`,
  project: `GET ${COMPUTE}/projects/${PROJECT}`,
  zones: `GET ${COMPUTE}/projects/${PROJECT}/zones`,
  typesA: `GET ${COMPUTE}/projects/${PROJECT}/zones/${ZONES[0]}/machineTypes`,
  typesB: `GET ${COMPUTE}/projects/${PROJECT}/zones/${ZONES[1]}/machineTypes`,
  region: `GET ${COMPUTE}/projects/${PROJECT}/regions/europe-west4`,
  network: `GET ${COMPUTE}/projects/${PROJECT}/global/networks/default`,
  subnetwork: `GET ${COMPUTE}/projects/${PROJECT}/regions/europe-west4/subnetworks/default`,
  image: `GET ${COMPUTE}/${IMAGE}`,
  debian: `GET ${COMPUTE}/projects/debian-cloud/global/images/family/debian-12`,
  permissions: `POST https://cloudresourcemanager.googleapis.com/v1/projects/${PROJECT}:testIamPermissions`,
  account: `POST https://iam.googleapis.com/v1/projects/${PROJECT}/serviceAccounts/${WORKER}:testIamPermissions`,
  bucket: 'GET https://storage.googleapis.com/storage/v1/b/bucket-1',
  bucketPolicy: 'GET https://storage.googleapis.com/storage/v1/b/bucket-1/iam',
  repository: `GET https://artifactregistry.googleapis.com/v1/projects/${PROJECT}/locations/europe-west4/repositories/goldfish`,
  push: `POST https://artifactregistry.googleapis.com/v1/projects/${PROJECT}/locations/europe-west4/repositories/goldfish:testIamPermissions`,
  pull: `GET https://artifactregistry.googleapis.com/v1/projects/${PROJECT}/locations/europe-west4/repositories/goldfish:getIamPolicy`,
} as const;

const HEALTHY: Record<string, GoogleAnswer | ((question: GoogleQuestion) => GoogleAnswer)> = {
  [AT.instances]: good({ items: {} }),
  [AT.project]: good({ quotas: [{ metric: 'CPUS_ALL_REGIONS', limit: 32, usage: 0 }] }),
  [AT.zones]: good({ items: ZONES.map((name) => ({ name, status: 'UP' })) }),
  [AT.typesA]: good({ items: [{ name: 'n2-standard-4' }] }),
  [AT.typesB]: good({ items: [{ name: 'n2-standard-4' }] }),
  [AT.region]: good({ quotas: [{ metric: 'N2_CPUS', limit: 24, usage: 8 }] }),
  [AT.network]: good({ autoCreateSubnetworks: true }),
  [AT.subnetwork]: good({ privateIpGoogleAccess: true }),
  [AT.image]: good({ name: 'goldfish-20260101', status: 'READY', diskSizeGb: '20' }),
  [AT.permissions]: grants,
  [AT.account]: grants,
  [AT.bucket]: good({
    location: 'EUROPE-WEST4',
    iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
    softDeletePolicy: { retentionDurationSeconds: '0' },
  }),
  [AT.bucketPolicy]: good({
    bindings: [{ role: 'roles/storage.objectUser', members: [`serviceAccount:${WORKER}`] }],
  }),
  [AT.repository]: good({ format: 'DOCKER' }),
  [AT.push]: grants,
  [AT.pull]: good({
    bindings: [{ role: 'roles/artifactregistry.reader', members: [`serviceAccount:${WORKER}`] }],
  }),
};

/** A project in which nothing is wrong but what `answers` and `gce` change. */
export function healthyProject(answers: Answers = {}, gce: Partial<GceParts['gce']> = {}): HealthyProject {
  const questions: GoogleQuestion[] = [];
  const access: GoogleAccess = {
    account: async () => project.account(),
    ask: async (question) => {
      questions.push(question);
      const key = `${question.method} ${question.url.replace(/\?.*$/, '')}`;
      const answer = answers[key] ?? HEALTHY[key];
      if (answer === undefined) throw new Error(`nobody was to ask ${key}`);
      return typeof answer === 'function' ? answer(question) : answer;
    },
  };
  const storage = createMemoryStorage({ now: systemClock.now });
  const cpuSmall = GCE_PROFILES['cpu-small']!;
  const project: HealthyProject = {
    storage,
    questions,
    account: () => ({ email: `goldfish@${PROJECT}.iam.gserviceaccount.com` }),
    parts: {
      gce: {
        projectId: PROJECT,
        zones: ZONES,
        serviceAccount: WORKER,
        network: 'default',
        subnetwork: null,
        externalAddress: true,
        artifactRegistry: `europe-west4-docker.pkg.dev/${PROJECT}/goldfish`,
        apiEndpoint: null,
        maxParallel: 4,
        profiles: { 'cpu-small': { ...cpuSmall, bootDisk: { ...cpuSmall.bootDisk, image: IMAGE } } },
        warmPool: {
          enabled: false,
          maxInstances: 2,
          idleTimeoutSeconds: 600,
          profiles: null,
          watchdogSeconds: 300,
        },
        ...gce,
      },
      gcs: { bucket: 'bucket-1', apiEndpoint: null },
      access,
      storage,
      registry: { digest: async () => undefined },
      clock: systemClock,
      ids: { reference: () => '0123abcd' },
    },
  };
  return project;
}

export async function examine(project: HealthyProject): Promise<Map<string, Omit<GceFinding, 'component'>>> {
  const findings = await examineGce(project.parts);
  return new Map(findings.map(({ component, ...rest }) => [component, rest]));
}

/** What is not ok where only these answers are others. */
export async function wrong(
  answers: Answers,
  gce: Partial<GceParts['gce']> = {},
): Promise<[string, Omit<GceFinding, 'component'>][]> {
  const found = await examine(healthyProject(answers, gce));
  return [...found].filter(([, { state }]) => state !== 'ok');
}
