import { GoldfishError } from '../../core/errors.ts';
import { createMail } from '../../pool/mail.ts';
import { type PoolPolicy, USUAL_POLICY } from '../../pool/policy.ts';
import { createPool } from '../../pool/pool.ts';
import { createGceProvider } from './gce-provider.ts';
import type { MachineSettings } from './instance-body.ts';
import { keepConsole } from './machine-console.ts';
import type { GceBackendOptions, Rented } from './options.ts';
import { bootstrapScript, workerProgram } from './worker-program.ts';

const STORAGE = 'https://storage.googleapis.com';
const COMPUTE = 'https://compute.googleapis.com';
/** A machine ends itself so much later than the pool would have: where nobody is left to do it. */
const IDLE_SLACK_SECONDS = 120;

/**
 * Opens the bucket and the service with their own clients, and the pool over both.
 * Errors: INVALID_CONFIG where the file names what the environment has not; those of the clients.
 */
export async function openRented(options: GceBackendOptions): Promise<Rented> {
  const { gce, clock, ids, log, db } = options;
  if (gce.problem !== undefined) throw new GoldfishError('INVALID_CONFIG', { message: `${gce.problem}.` });
  const projectMark = await options.projectMark();
  const bucketPrefix = `${options.bucket.prefix}${projectMark}/`;
  const bucket = await options.openStorage(bucketPrefix);
  const provider = createGceProvider({
    calls: await options.openCompute(),
    clock,
    settings: await machineSettings(options, { projectMark, bucketPrefix }),
    profiles: gce.profiles,
    zones: gce.zones,
    pricePerHour: ({ profile, model }) => profile.pricePerHour[model],
  });
  const policy = policyOf(options);
  const mail = createMail(bucket);
  const pool = createPool({
    db,
    clock,
    ids,
    log,
    provider,
    mail,
    policy,
    keepConsole: (of) => keepConsole(options, of),
  });
  return { bucket, pool };
}

function policyOf({ gce, defaults }: Pick<GceBackendOptions, 'gce' | 'defaults'>): PoolPolicy {
  const { enabled, maxInstances, idleTimeoutSeconds, profiles, watchdogSeconds } = gce.warmPool;
  return {
    ...USUAL_POLICY,
    enabled,
    maxInstances,
    idleTimeoutSeconds,
    profiles,
    watchdogSeconds,
    launchSeconds: defaults.launchTimeoutSeconds,
  };
}

async function machineSettings(
  { gce, bucket }: GceBackendOptions,
  { projectMark, bucketPrefix }: { projectMark: string; bucketPrefix: string },
): Promise<MachineSettings> {
  const { object, sha256, size } = await workerProgram();
  const { idleTimeoutSeconds } = gce.warmPool;
  return {
    project: projectMark,
    network: gce.network,
    subnetwork: gce.subnetwork,
    externalAddress: gce.externalAddress,
    serviceAccount: gce.serviceAccount,
    startupScript: await bootstrapScript(),
    settings: {
      schema: 1,
      bucket: bucket.name,
      bucketPrefix,
      storageEndpoint: bucket.apiEndpoint ?? STORAGE,
      computeEndpoint: gce.apiEndpoint ?? COMPUTE,
      program: { object, sha256, size },
      idleSeconds: idleTimeoutSeconds === 0 ? 0 : idleTimeoutSeconds + IDLE_SLACK_SECONDS,
    },
  };
}
