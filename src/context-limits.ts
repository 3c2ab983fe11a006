import type { Config } from './config/config.ts';
import { machineProfileOf } from './config/gce.ts';
import type { BackendLimits } from './runs/deps.ts';

/** A stage on `process` is limited by what it asks for, and by the machine. */
export const NO_LIMITS: BackendLimits = {
  memoryBytes: null,
  cpus: null,
  pidsLimit: null,
  network: true,
  gpus: 0,
  images: false,
  image: null,
  keys: {},
};

export function dockerLimits(
  docker: Config['docker'],
  { profile, gpus }: { profile: string; gpus: () => number },
): BackendLimits {
  const image = imageOf(docker, profile);
  return {
    memoryBytes: docker.memoryBytes,
    cpus: docker.cpus,
    pidsLimit: docker.pidsLimit,
    network: docker.network !== 'none',
    gpus: docker.gpus === 'auto' ? gpus() : docker.gpus,
    images: true,
    image,
    keys: {
      memory: 'docker.memory',
      cpus: 'docker.cpus',
      pids_limit: 'docker.pids_limit',
      network: 'docker.network',
      image: image === null ? 'docker.base_image' : `docker.images.${profile}`,
    },
  };
}

/** Processes of a stage that has a machine to itself: far more than any needs, and what the machine can bear. */
const RENTED_PIDS = 16_384;

/** A rented machine is its run's alone: memory and processors are all of it. */
export function rentedLimits(
  { gce, docker }: Pick<Config, 'gce' | 'docker'>,
  profile: string,
): BackendLimits {
  const machine = gce?.profiles[machineProfileOf(gce, profile)];
  const image = imageOf(docker, profile);
  return {
    memoryBytes: null,
    cpus: null,
    pidsLimit: RENTED_PIDS,
    network: docker.network !== 'none',
    gpus: machine?.gpus ?? 0,
    ownGpus: true,
    images: true,
    image,
    keys: {
      network: 'docker.network',
      image: image === null ? 'docker.base_image' : `docker.images.${profile}`,
    },
  };
}

function imageOf({ images }: Config['docker'], profile: string): string | null {
  return Object.hasOwn(images, profile) ? (images[profile] ?? null) : null;
}
