import type { BackendLimits, Backends } from '../../src/runs/deps.ts';
import type { FakeBackend } from './fake-backend.ts';

const GIB = 1024 ** 3;

/** What `boxes` gives a stage that asks for nothing. */
const BOX_LIMITS: BackendLimits = {
  memoryBytes: 4 * GIB,
  cpus: 2,
  pidsLimit: 100,
  network: false,
  gpus: 2,
  images: true,
  image: null,
  keys: {
    memory: 'docker.memory',
    cpus: 'docker.cpus',
    pids_limit: 'docker.pids_limit',
    network: 'docker.network',
    image: 'docker.base_image',
  },
};

/** `process` as it is, and `boxes`: images, limits of its own, four ranks, two GPUs, a million seconds. Both execute nothing. */
export function twoBackends(own: Backends, fake: FakeBackend): Backends {
  const boxes = {
    ...fake.backend,
    name: 'boxes',
    capabilities: {
      ...fake.backend.capabilities,
      gpu: true,
      maxNodes: 4,
      longestSeconds: 1_000_000,
      isolation: 'container',
    } as const,
  };
  const two: Backends = {
    ...own,
    names: ['process', 'boxes'],
    get: async (name) => (name === 'boxes' ? boxes : own.get(name)),
    choose: async (requested) => {
      const name = requested === 'auto' ? 'process' : requested;
      return { name, why: requested === 'auto' ? 'auto: in a test' : 'named' };
    },
    capacity: () => 8,
    limits: (name, profile) => {
      if (name !== 'boxes') return own.limits(name, profile);
      return profile === 'big' ? { ...BOX_LIMITS, image: 'my/big:1' } : BOX_LIMITS;
    },
    environmentKey: async (name, request) =>
      name === 'boxes' ? `sha256:boxes:${request.image ?? 'base'}` : own.environmentKey(name, request),
    over: () => two,
  };
  return two;
}
