import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { createAccessToken } from '../../src/backends/gce/access-token.ts';
import { createArtifactRegistry } from '../../src/backends/gce/artifact-registry.ts';
import { createComputeClient } from '../../src/backends/gce/compute-client.ts';
import { machineBody } from '../contracts/compute-calls-kit.ts';
import { type OpenedService, serviceOf } from '../contracts/compute-calls-service.ts';
import { NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { describeImageRegistry, type RegistryHarness } from '../contracts/image-registry.ts';
import { namesOf, openPushingEngine } from '../contracts/image-registry-kit.ts';
import { describeObjectStorage, type OpenedStorage } from '../contracts/object-storage.ts';
import { empty, removeImage, removeMachines, storageOf, untilGone } from './left-overs.ts';
import { type LiveProject, liveProject, MISSING, NEEDS_PROJECT } from './live-project.ts';

/**
 * The contracts that emulators are held to, held to the services that they stand for: whether these are as we took them to
 * be is known from nothing else.
 */
const live = MISSING.length > 0 ? undefined : liveProject();
const mark = randomBytes(4).toString('hex');
let opened = 0;

/** Only asked for inside of a test, and there are none without a project. */
function project(): LiveProject {
  if (live === undefined) throw new Error(NEEDS_PROJECT);
  return live;
}

/** A folder of its own for each test. */
async function openStorage(): Promise<OpenedStorage> {
  opened += 1;
  const client = () => storageOf(project(), `contract-${opened}/`);
  const storage = client();
  const home = await mkdtemp(join(tmpdir(), 'goldfish-live-'));
  const [folder, foreign] = [join(home, 'outputs'), join(home, 'foreign')];
  for (const made of [folder, foreign]) await mkdir(made);
  return {
    storage,
    again: client,
    folder,
    foreign,
    fill: async (keys) => {
      for (let at = 0; at < keys.length; at += 50) {
        await Promise.all(keys.slice(at, at + 50).map((key) => storage.put(key, Buffer.from(key))));
      }
    },
    // The service shows nobody the uploads that were not finished. They cost nothing, and go after a week.
    leftovers: async () => [],
    dispose: async () => {
      await empty(storage);
      await rm(home, { recursive: true });
    },
  };
}

/** Should the tests be killed, the service deletes a machine by itself. */
const LONGEST = { seconds: '1800' };

/** Machines of the smallest kind, with the smallest disk, without an account and an address. */
async function openCompute(): Promise<OpenedService> {
  opened += 1;
  const { id, network, endpoints } = project();
  const calls = createComputeClient({ projectId: id, apiEndpoint: endpoints.compute });
  const label = `${mark}-${opened}`;
  const nameOf = (name: string): string => `goldfish-live-${label}-${name}`;
  const asked = new Map<string, string>();
  return {
    calls,
    settled: (work) => work,
    nameOf,
    filter: `labels.goldfish-live=${label}`,
    insertion: (name, change, zone) => {
      asked.set(nameOf(name), zone);
      const body = machineBody(nameOf(name), {}, zone);
      const disks = body.disks.map((disk) => ({
        ...disk,
        initializeParams: {
          ...disk.initializeParams,
          diskSizeGb: '10',
          diskType: `zones/${zone}/diskTypes/pd-standard`,
        },
      }));
      return {
        zone,
        requestId: randomUUID(),
        body: {
          ...body,
          machineType: `zones/${zone}/machineTypes/e2-micro`,
          labels: { 'goldfish-live': label },
          disks,
          networkInterfaces: [network],
          scheduling: { ...body.scheduling, maxRunDuration: LONGEST },
          ...change,
        },
      };
    },
    dispose: async () => {
      const places = [...asked].map(([name, zone]) => ({ id: name, zone }));
      await removeMachines(project(), places);
      await untilGone(project(), places);
    },
  };
}

/** An image of its own in the repository, with a tag for each test. */
async function openRegistry(): Promise<RegistryHarness> {
  const engine = await openPushingEngine();
  const token = createAccessToken();
  const name = `goldfish-live-${mark}`;
  const of = (repository: string) => createArtifactRegistry({ repository, token });
  const registry = of(project().registry);
  return {
    registry,
    repository: `${project().registry}/${name}`,
    builder: engine.builderOf('one'),
    another: () => ({ registry: of(project().registry), builder: engine.builderOf('another') }),
    makeImage: (kind) => engine.makeImage(kind),
    namesOf,
    fetchAnew: async (id, reference) => engine.fetchAnew({ id, reference, login: await registry.login() }),
    away: async () => {
      const nowhere = `127.0.0.1:${await freePort()}/project`;
      return { registry: of(nowhere), repository: `${nowhere}/${name}` };
    },
    close: async () => {
      await engine.cleanUp();
      await removeImage(project(), name);
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.skipIf(live === undefined)(`the contracts, kept by a real project${NEEDS_PROJECT}`, () => {
  afterAll(async () => {
    if (live !== undefined) await empty(storageOf(live));
  });
  const [first, second] = live?.zones ?? ['none'];

  describeObjectStorage('Cloud Storage', { small: 'never full', open: openStorage });
  describe('Compute Engine', () => serviceOf({ zones: [first, second], open: openCompute }));
  describeImageRegistry('Artifact Registry', openRegistry, NEEDS_ENGINE);
});
