import { countGpus } from './backends/docker/gpus.ts';
import type { RunBackend } from './backends/port.ts';
import type { Config } from './config/config.ts';
import { hostEnvironment } from './config/host.ts';
import type { Adapter, BackendParts } from './context-adapter.ts';
import { dockerLimits, NO_LIMITS, rentedLimits } from './context-limits.ts';
import { assetPath } from './core/assets.ts';
import { GoldfishError } from './core/errors.ts';
import { nearest } from './core/suggest.ts';
import type { Backends } from './runs/deps.ts';
import { createTending, NOTHING_TO_TEND } from './runs/tending.ts';
import { hasLivingWorkers } from './store/living-workers.ts';

/** Adapters are imported when first asked for, so that a start pays only for what it uses. */
export function createBackends(parts: BackendParts, { isAtWork = false } = {}): Backends {
  const { config, db } = parts;
  const adapters = makersOf(parts);
  const names = Object.keys(adapters);
  const made = new Map<string, Promise<Adapter>>();
  const adapter = (name: string): Promise<Adapter> => {
    const make = Object.hasOwn(adapters, name) ? adapters[name] : undefined;
    if (make === undefined) throw unknownBackend(name, names);
    const known = made.get(name) ?? make();
    made.set(name, known);
    // One that could not be made (files that are just being replaced) is made anew the next time.
    known.catch(() => made.delete(name));
    return known;
  };
  const get = async (name: string): Promise<RunBackend> => (await adapter(name)).backend;
  return {
    names,
    get,
    choose: async (requested) => {
      if (requested === 'auto') return chooseBest(get);
      const probe = await (await get(requested)).probe();
      if (!probe.available) throw unavailable(requested, probe);
      return { name: requested, why: probe.why };
    },
    capacity: (name) => capacityOf(config, name),
    limits: (name, profile) => {
      if (name === 'docker') return dockerLimits(config.docker, { profile, gpus: countGpus });
      return name === 'gce' ? rentedLimits(config, profile) : NO_LIMITS;
    },
    environmentKey: async (name, request) => (await adapter(name)).environmentKey(name, request),
    tend: async (options) => {
      if (config.gce !== null) await (await adapter('gce')).tend?.(options);
    },
    close: async () => {
      await Promise.allSettled([...made.values()].map(async (one) => (await one).close?.()));
    },
    hasWards: () => config.gce !== null && hasLivingWorkers(db),
    tending:
      config.gce === null
        ? NOTHING_TO_TEND
        : createTending({ ...parts, backend: 'gce', settings: config.gce, isAtWork }),
    over: (other) => createBackends({ ...parts, db: other }, { isAtWork: true }),
  };
}

function capacityOf(config: Config, name: string): number {
  if (name === 'gce') return config.gce?.maxParallel ?? 0;
  return name === 'docker' ? config.docker.maxParallel : config.process.maxParallel;
}

function makersOf(parts: BackendParts): Record<string, () => Promise<Adapter>> {
  const { config, layout, clock, log } = parts;
  const environment = hostEnvironment();
  const host = {
    layout,
    clock,
    python: config.process.python,
    sdkDir: assetPath('sdk/python'),
    hostEnvironment: environment,
  };
  const docker = async () => {
    const { createDockerAdapter } = await import('./backends/docker/docker-backend.ts');
    const { hostProblem, baseImage, user } = config.docker;
    const address = config.docker.host ?? environment['DOCKER_HOST'] ?? null;
    const nodeLibraryDir = assetPath('sdk/node');
    return createDockerAdapter({
      ...host,
      host: address,
      hostProblem,
      baseImage,
      user,
      nodeLibraryDir,
      log,
    });
  };
  const makers: Record<string, () => Promise<Adapter>> = {
    docker: async () => {
      const { backend, environmentKey } = await docker();
      return { backend, environmentKey: (_name, request) => environmentKey(request) };
    },
    process: async () => {
      const adapter = await import('./backends/process/process-backend.ts');
      const options = {
        ...host,
        sandbox: config.process.sandbox,
        hiddenFolders: [config.storage.local.path],
      };
      return {
        backend: adapter.createProcessBackend(options),
        environmentKey: (_name, { files }) => adapter.environmentKey(options, files),
      };
    },
  };
  if (config.gce === null) return makers;
  return {
    ...makers,
    gce: async () => {
      const { createRentedAdapter } = await import('./context-rented.ts');
      return createRentedAdapter(parts, docker);
    },
  };
}

/** Containers where they can be had at once, else processes; and why. */
async function chooseBest(
  get: (name: string) => Promise<RunBackend>,
): Promise<{ name: string; why: string }> {
  const docker = await (await get('docker')).probe();
  if (docker.available && docker.ready !== false) return { name: 'docker', why: `auto: ${docker.why}` };
  const process = await (await get('process')).probe();
  if (!process.available) throw unavailable('process', process);
  return { name: 'process', why: `auto: ${process.why}; not docker: ${docker.why}` };
}

function unknownBackend(name: string, names: readonly string[]): GoldfishError {
  const near = nearest(name, names);
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `There is no backend "${name}" here.`,
    hint: near ? `Did you mean "${near}"?` : `Configured are: ${names.join(', ')}.`,
    details: { allowed: [...names] },
  });
}

function unavailable(name: string, probe: { why: string; hint?: string; passing?: boolean }): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `The backend "${name}" cannot run work: ${probe.why}`,
    ...(probe.hint === undefined ? {} : { hint: probe.hint }),
    details: { backend: name },
    retryable: probe.passing === true,
  });
}
