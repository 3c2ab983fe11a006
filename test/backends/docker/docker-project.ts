import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  ContainerFacts,
  Engine,
  EngineContainer,
  EngineImage,
} from '../../../src/backends/docker/engine.ts';
import type { DockerBackendOptions, DockerDeps } from '../../../src/backends/docker/options.ts';
import type { RunSpec } from '../../../src/backends/port.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { type Layout, projectLayout } from '../../../src/core/layout.ts';

export const RUN = { runId: 'stage-0123456789ab', attempt: 1 };

export type DockerProject = {
  layout: Layout;
  options: DockerBackendOptions;
  /** What the backend's parts are handed, over the engine given. */
  deps(engine: Engine, change?: Partial<DockerDeps>): DockerDeps;
  /** A file of the attempt's folder, which is made. */
  write(run: { runId: string; attempt: number }, name: string, content: string): Promise<void>;
  spec(change?: Partial<RunSpec>): Promise<RunSpec>;
  close(): Promise<void>;
};

/** A project folder for the parts of the docker backend, without an engine. */
export async function openDockerProject(): Promise<DockerProject> {
  const root = await mkdtemp(join(tmpdir(), 'goldfish-docker-'));
  const layout = projectLayout(root);
  await mkdir(layout.stateDir, { recursive: true });
  const options: DockerBackendOptions = {
    layout,
    clock: systemClock,
    python: 'python3',
    sdkDir: assetPath('sdk/python'),
    nodeLibraryDir: assetPath('sdk/node'),
    hostEnvironment: process.env,
    host: null,
    hostProblem: null,
    baseImage: 'base:1',
    user: '1000:1000',
  };
  return {
    layout,
    options,
    deps: (engine, change) => {
      const address = { kind: 'socket', path: '/none' } as const;
      return { ...options, address, engine: async () => engine, project: 'p', ...change };
    },
    write: async (run, name, content) => {
      const { dir } = layout.attempt(run.runId, run.attempt);
      await mkdir(dir, { recursive: true });
      await writeFile(join(dir, name), content);
    },
    spec: async (change) => {
      const folders = layout.attempt(RUN.runId, RUN.attempt);
      const codeDir = layout.checkout('0123abcd');
      for (const dir of [folders.dir, folders.checkpoints, codeDir]) await mkdir(dir, { recursive: true });
      return {
        ...RUN,
        workspace: 'ws',
        version: 'v1',
        stage: 'train',
        profile: 'default',
        command: ['true'],
        codeDir,
        attemptDir: folders.dir,
        checkpointsDir: folders.checkpoints,
        config: {},
        environment: {},
        secrets: {},
        inputs: [],
        outputs: [],
        resources: { nodes: 1, memoryBytes: null, cpus: null, gpus: 0, pidsLimit: null, network: false },
        timeoutSeconds: 60,
        stopGraceSeconds: 5,
        wakeSocket: null,
        runtime: {
          key: 'k',
          description: 'image base:1',
          data: { image: 'sha256:a', python: true, pythonPath: '' },
        },
        ...change,
      };
    },
    close: () => rm(root, { recursive: true, force: true }),
  };
}

/** An answer of the engine that is no success. */
export function refusal(statusCode: number, says: string): Error {
  return Object.assign(new Error(`(HTTP code ${statusCode}) unexpected - ${says} `), { statusCode });
}

/** An engine that says no to everything but what the test gives it. */
export function fakeEngine(change: Partial<Engine>): Engine {
  const refuse = (): never => {
    throw new Error('not asked for here');
  };
  return {
    info: async () => ({ NCPU: 1 }),
    getImage: refuse,
    pull: refuse,
    buildImage: refuse,
    createContainer: refuse,
    getContainer: refuse,
    listContainers: async () => [],
    ...change,
  };
}

/** An image that is asked for nothing but what the test gives it. */
export function fakeImage(change: Partial<EngineImage>): EngineImage {
  const refuse = (): Promise<never> => Promise.reject(new Error('not asked for here'));
  return { inspect: refuse, tag: refuse, push: refuse, remove: refuse, ...change };
}

/** An engine with containers that can be listed and removed; `remove` may refuse. */
export function engineWith(
  containers: readonly ContainerFacts[],
  remove: (id: string, options: { force: boolean }) => void = () => undefined,
): { engine: Engine; left: () => string[] } {
  const there = new Map(containers.map((container) => [container.Id, container]));
  const container = (id: string): EngineContainer => ({
    start: () => Promise.reject(new Error('not asked for here')),
    wait: () => Promise.reject(new Error('not asked for here')),
    remove: async (options) => {
      if (!there.has(id)) throw refusal(404, `No such container: ${id}`);
      remove(id, options);
      there.delete(id);
    },
  });
  return {
    engine: fakeEngine({
      getContainer: container,
      listContainers: async ({ filters }) =>
        [...there.values()].filter(({ Labels }) =>
          filters.label.every((label) => {
            const [name = '', value] = label.split('=');
            return Labels[name] === value;
          }),
        ),
    }),
    left: () => [...there.keys()],
  };
}
