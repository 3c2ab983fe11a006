import type { DockerAdapter } from './backends/docker/docker-backend.ts';
import { createGceBackend } from './backends/gce/gce-backend.ts';
import type { ImageSupply } from './backends/gce/options.ts';
import type { ImageRegistry } from './backends/image-registry.ts';
import type { GceConfig, GcsConfig } from './config/gce.ts';
import type { Adapter, BackendParts } from './context-adapter.ts';
import type { Clock } from './core/clock.ts';
import { markProblem, projectMark } from './os/project-mark.ts';
import { hasLivingWorkers } from './store/living-workers.ts';

/** Rented machines, with the images that an engine of this machine makes for them. */
export async function createRentedAdapter(
  parts: BackendParts,
  docker: () => Promise<DockerAdapter>,
): Promise<Adapter> {
  const { config, layout, clock, ids, log, hide, db } = parts;
  const { gce } = config;
  const { gcs } = config.storage;
  if (gce === null || gcs === null) throw new Error('no rented machines are configured');
  const images = await docker();
  const hasMachines = (): boolean => hasLivingWorkers(db);
  const { apiEndpoint, bucket: name, prefix } = gcs;
  const { capacityWaitSeconds, launchTimeoutSeconds, logSyncSeconds } = config.defaults;
  const { backend, tend, close } = createGceBackend({
    gce,
    bucket: { name, prefix, apiEndpoint },
    defaults: { capacityWaitSeconds, launchTimeoutSeconds, logSyncSeconds },
    user: config.docker.user,
    projectMark: () => projectMark(layout, { hasMachines }),
    markProblem: () => markProblem(layout, { hasMachines }),
    layout,
    minFreeBytes: config.storage.keep.minFreeBytes,
    clock,
    ids,
    log,
    hide,
    db,
    images: imageSupply(images, { gce, clock }),
    openStorage: (keyPrefix) => openBucket({ gcs, prefix: keyPrefix, clock }),
    openCompute: async () => {
      const { createComputeClient } = await import('./backends/gce/compute-client.ts');
      return createComputeClient({ projectId: gce.projectId, apiEndpoint: gce.apiEndpoint });
    },
  });
  return { backend, tend, close, environmentKey: (_name, request) => images.environmentKey(request) };
}

function imageSupply(
  docker: DockerAdapter,
  { gce, clock }: Pick<BackendParts, 'clock'> & { gce: GceConfig },
): ImageSupply {
  let registry: Promise<ImageRegistry> | undefined;
  return {
    probe: (call) => docker.backend.probe(call),
    build: (request, call) => docker.backend.build(request, call),
    publish: async (id, call) => {
      const { pushedImage } = await import('./backends/gce/push-image.ts');
      registry ??= openRegistry(gce);
      const repository = gce.artifactRegistry;
      return pushedImage(
        { builder: docker.builder, registry: await registry, repository, clock },
        { ...call, id },
      );
    },
  };
}

async function openRegistry({ artifactRegistry: repository }: GceConfig): Promise<ImageRegistry> {
  const { createArtifactRegistry } = await import('./backends/gce/artifact-registry.ts');
  const { createAccessToken } = await import('./backends/gce/access-token.ts');
  return createArtifactRegistry({ repository, token: createAccessToken() });
}

async function openBucket({ gcs, prefix, clock }: { gcs: GcsConfig; prefix: string; clock: Clock }) {
  const { createGcsStorage } = await import('./storage/gcs/gcs-storage.ts');
  const { bucket, apiEndpoint } = gcs;
  return createGcsStorage({ bucket, prefix, clock, ...(apiEndpoint === null ? {} : { apiEndpoint }) });
}

/** What is asked by whoever wants to know whether machines can be rented; null where none are configured. */
export async function openRentedWays({ config, clock }: Pick<BackendParts, 'config' | 'clock'>) {
  const { gce } = config;
  const { gcs } = config.storage;
  if (gce === null || gcs === null) return null;
  const { createGoogleAccess } = await import('./backends/gce/google-access.ts');
  return {
    access: createGoogleAccess(),
    storage: await openBucket({ gcs, prefix: gcs.prefix, clock }),
    registry: await openRegistry(gce),
  };
}
