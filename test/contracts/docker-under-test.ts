import { spawnSync } from 'node:child_process';
import Docker from 'dockerode';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { createDockerAdapter, type DockerAdapter } from '../../src/backends/docker/docker-backend.ts';
import type { DockerBackendOptions } from '../../src/backends/docker/options.ts';
import type { HostOptions } from '../../src/backends/host-options.ts';
import type { RunHandle } from '../../src/backends/port.ts';
import { assetPath } from '../../src/core/assets.ts';
import { type BackendUnderTest, findProcesses, killWrapper } from './backend-harness.ts';

export const docker = new Docker({ socketPath: '/var/run/docker.sock' });

/** Whether an engine answers and has the image of the tests; the title of what is skipped otherwise. */
export const hasEngine =
  spawnSync('curl', ['-sf', '--unix-socket', '/var/run/docker.sock', `http://d/images/${TEST_IMAGE}/json`])
    .status === 0;
export const NEEDS_ENGINE = hasEngine ? '' : ' (needs a container engine: GOLDFISH_SETUP=1 npm test)';

export function dockerAdapter(
  options: HostOptions,
  change: Partial<DockerBackendOptions> = {},
): DockerAdapter {
  return createDockerAdapter({
    ...options,
    host: null,
    hostProblem: null,
    baseImage: TEST_IMAGE,
    user: '1000:1000',
    nodeLibraryDir: assetPath('sdk/node'),
    ...change,
  });
}

export const dockerUnderTest: BackendUnderTest = {
  make: (options) => {
    const { backend, environmentKey } = dockerAdapter(options);
    return {
      backend,
      environmentKey: (files, codeHash) => environmentKey({ files, codeHash, image: null }),
    };
  },
  loseExecutor: killWrapper,
  remains: async (handle) => [
    ...(await findProcesses(handle.runId)).map(String),
    ...(await containersOf(handle)).map((container) => container.Names.join()),
  ],
  discard: async (handle) => {
    for (const { Id } of await containersOf(handle)) await docker.getContainer(Id).remove({ force: true });
  },
  recorded: async (handle) => JSON.stringify(await docker.getContainer(handle.externalId).inspect()),
};

export function containersOf(handle: Pick<RunHandle, 'runId'>): Promise<Docker.ContainerInfo[]> {
  return docker.listContainers({ all: true, filters: { name: [`goldfish-${handle.runId}`] } });
}
