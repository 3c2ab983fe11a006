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
  const optional = (key: string, value: string | undefined): string =>
    value ? `  ${key}: ${JSON.stringify(value)}\n` : '';
  const prefix = `goldfish-live/${randomBytes(4).toString('hex')}/`;
  const zones = of('GOLDFISH_LIVE_ZONES').split(',');
  const config = `defaults: { backend: gce, profile: cpu-small, timeout_seconds: 600, capacity_wait_seconds: 300 }
storage: { gcs: { bucket: ${of('GOLDFISH_LIVE_BUCKET')}, prefix: ${prefix} } }
gce:
  project_id: ${of('GOLDFISH_LIVE_PROJECT')}
  zones: ${JSON.stringify(zones.map((zone) => zone.trim()))}
  service_account: ${of('GOLDFISH_LIVE_SERVICE_ACCOUNT')}
  artifact_registry: ${of('GOLDFISH_LIVE_REGISTRY')}
${optional('network', process.env['GOLDFISH_LIVE_NETWORK'])}${optional('subnetwork', process.env['GOLDFISH_LIVE_SUBNETWORK'])}  external_address: ${process.env['GOLDFISH_LIVE_EXTERNAL_ADDRESS'] !== 'false'}
  max_parallel: 1
  profile_overrides:
    cpu-small: { boot_disk: { image: ${of('GOLDFISH_LIVE_IMAGE')}, size_gb: 20 } }
  warm_pool: { enabled: true, max_instances: 1, idle_timeout_minutes: 1 }
`;
  return { id: of('GOLDFISH_LIVE_PROJECT'), bucket: of('GOLDFISH_LIVE_BUCKET'), prefix, config };
}
