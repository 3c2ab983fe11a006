import type { DockerAdapter } from './backends/docker/docker-backend.ts';
import { createGceBackend } from './backends/gce/gce-backend.ts';
import type { BuildCall, ImageSupply } from './backends/gce/options.ts';
import type { Adapter, BackendParts } from './context-backends.ts';
import type { GceConfig } from './config/gce.ts';
import { projectMark } from './os/project-mark.ts';

/** Rented machines, with the images that an engine of this machine makes for them. */
export async function createRentedAdapter(
  parts: BackendParts,
  docker: () => Promise<DockerAdapter>,
): Promise<Adapter> {
  const { config, layout, clock, ids, log, db } = parts;
  const { gce } = config;
  const { gcs } = config.storage;
  if (gce === null || gcs === null) throw new Error('no rented machines are configured');
  const images = await docker();
  const { apiEndpoint, bucket: name, prefix } = gcs;
  const { capacityWaitSeconds, launchTimeoutSeconds, logSyncSeconds } = config.defaults;
  const { backend, tend } = createGceBackend({
    gce,
    bucket: { name, prefix, apiEndpoint },
    defaults: { capacityWaitSeconds, launchTimeoutSeconds, logSyncSeconds },
    user: config.docker.user,
    projectMark: () => projectMark(layout),
    layout,
    clock,
    ids,
    log,
    db,
    images: imageSupply(images, { gce, clock }),
    openStorage: async (keyPrefix) => {
      const { createGcsStorage } = await import('./storage/gcs/gcs-storage.ts');
      const where = apiEndpoint === null ? {} : { apiEndpoint };
      return createGcsStorage({ bucket: name, prefix: keyPrefix, clock, ...where });
    },
    openCompute: async () => {
      const { createComputeClient } = await import('./backends/gce/compute-client.ts');
      return createComputeClient({ projectId: gce.projectId, apiEndpoint: gce.apiEndpoint });
    },
  });
  return { backend, tend, environmentKey: (_name, request) => images.environmentKey(request) };
}

function imageSupply(
  docker: DockerAdapter,
  { gce, clock }: Pick<BackendParts, 'clock'> & { gce: GceConfig },
): ImageSupply {
  let registry: Promise<Parameters<typeof import('./backends/gce/push-image.ts').pushedImage>[0]> | undefined;
  const open = async () => {
    const { createArtifactRegistry } = await import('./backends/gce/artifact-registry.ts');
    const { accessToken } = await import('./backends/gce/access-token.ts');
    const repository = gce.artifactRegistry;
    return {
      builder: docker.builder,
      registry: createArtifactRegistry({ repository, token: accessToken }),
      repository,
      clock,
    };
  };
  return {
    probe: (call) => docker.backend.probe(call),
    build: (request, call) => docker.backend.build(request, call),
    publish: async (id, call: BuildCall) => {
      const { pushedImage } = await import('./backends/gce/push-image.ts');
      registry ??= open();
      return pushedImage(await registry, { ...call, id });
    },
  };
}
