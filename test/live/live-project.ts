import { randomBytes } from 'node:crypto';

/** What the live tests need to be told, and what each is. */
const NEEDED = {
  GOLDFISH_LIVE_PROJECT: 'id of the project that pays',
  GOLDFISH_LIVE_ZONES: 'zones, with commas between them',
  GOLDFISH_LIVE_BUCKET: 'a bucket near them',
  GOLDFISH_LIVE_REGISTRY: 'a repository for images, as europe-west4-docker.pkg.dev/project/name',
  GOLDFISH_LIVE_SERVICE_ACCOUNT: 'address of the account that machines act as',
  GOLDFISH_LIVE_IMAGE: 'image of the machines, which has a container engine',
} as const;

type Variable = keyof typeof NEEDED;

/** Those that are not set. */
export const MISSING = Object.keys(NEEDED).filter((name) => !process.env[name]);

/** For the title of what is skipped. */
export const NEEDS_PROJECT =
  MISSING.length === 0 ? '' : ` (needs a project of Google Cloud: set ${MISSING.join(', ')})`;

export function explainNeeded(): string {
  return Object.entries(NEEDED)
    .map(([name, what]) => `  ${name.padEnd(30)} ${what}`)
    .join('\n');
}

export type LiveProject = {
  id: string;
  zones: [string, ...string[]];
  registry: string;
  network: { network: string; subnetwork?: string };
  /** Of emulators, with which the suite itself is tried; null: Google's own. */
  endpoints: { compute: string | null; storage: string | null };
  bucket: string;
  /** Everything of this test lies below it, and goes with it. */
  prefix: string;
  /** Sections of goldfish.yaml: one small machine, kept for a minute after its last run. */
  config: string;
};

/** Throws where something is not set. */
export function liveProject(): LiveProject {
  const of = (name: Variable): string => {
    const value = process.env[name];
    if (!value) throw new Error(`${name} is not set: ${NEEDED[name]}`);
    return value;
  };
  const given = (name: string): string | null => process.env[`GOLDFISH_LIVE_${name}`] || null;
  const [id, bucket, registry] = [
    of('GOLDFISH_LIVE_PROJECT'),
    of('GOLDFISH_LIVE_BUCKET'),
    of('GOLDFISH_LIVE_REGISTRY'),
  ];
  const [first = '', ...others] = of('GOLDFISH_LIVE_ZONES')
    .split(',')
    .map((zone) => zone.trim());
  const zones: LiveProject['zones'] = [first, ...others];
  const endpoints = { compute: given('COMPUTE_ENDPOINT'), storage: given('STORAGE_ENDPOINT') };
  const [network, subnetwork] = [given('NETWORK') ?? 'default', given('SUBNETWORK')];
  const prefix = `goldfish-live/${randomBytes(4).toString('hex')}/`;
  const baseImage = given('BASE_IMAGE');
  // YAML reads JSON.
  const sections = {
    ...(baseImage === null ? {} : { docker: { base_image: baseImage } }),
    defaults: { backend: 'gce', profile: 'cpu-small', timeout_seconds: 600, capacity_wait_seconds: 300 },
    storage: { gcs: { bucket, prefix, api_endpoint: endpoints.storage } },
    gce: {
      project_id: id,
      zones,
      service_account: of('GOLDFISH_LIVE_SERVICE_ACCOUNT'),
      artifact_registry: registry,
      api_endpoint: endpoints.compute,
      network,
      subnetwork,
      external_address: given('EXTERNAL_ADDRESS') !== 'false',
      max_parallel: 1,
      profile_overrides: {
        'cpu-small': { boot_disk: { image: of('GOLDFISH_LIVE_IMAGE'), size_gb: 20 } },
      },
      warm_pool: { enabled: true, max_instances: 1, idle_timeout_minutes: 1 },
    },
  };
  const config = Object.entries(sections).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`);
  return {
    id,
    zones,
    registry,
    network: {
      network: network.includes('/') ? network : `global/networks/${network}`,
      ...(subnetwork === null ? {} : { subnetwork }),
    },
    endpoints,
    bucket,
    prefix,
    config: config.join(''),
  };
}
