import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import type { HostOptions } from '../../src/backends/host-options.ts';
import { systemClock } from '../../src/core/clock.ts';
import { projectLayout } from '../../src/core/layout.ts';
import { docker, dockerAdapter, NEEDS_ENGINE } from './docker-under-test.ts';
import { type BuilderHarness, describeImageBuilder } from './image-builder.ts';

async function open(): Promise<BuilderHarness> {
  const folder = await mkdtemp(join(tmpdir(), 'goldfish builder ü-'));
  const file = join(folder, 'tool');
  await writeFile(file, Buffer.from([0, 1, 2, 255, 254]));
  const options: HostOptions = {
    layout: projectLayout(join(folder, 'project')),
    clock: systemClock,
    python: 'python3',
    sdkDir: folder,
    hostEnvironment: {},
  };
  const before = new Set((await docker.listContainers({ all: true })).map(({ Id }) => Id));
  return {
    builder: dockerAdapter(options).builder,
    another: () => dockerAdapter(options).builder,
    base: TEST_IMAGE,
    file,
    run: async (image, script) => {
      const stdout = new PassThrough();
      const output = buffer(stdout);
      const [, container] = await docker.run(image, ['sh', '-c', script], stdout, { Tty: false });
      await container.remove({ force: true });
      stdout.end();
      return demultiplex(await output);
    },
    containers: async () => {
      // Others test at the same time: only containers of a build, which have no name of ours.
      const now = await docker.listContainers({ all: true });
      return now
        .filter(
          ({ Id, Command, Labels }) =>
            !before.has(Id) && /sleep 300|exit 3/.test(Command) && !Labels['goldfish.run'],
        )
        .map(({ Id }) => Id);
    },
    labelsOf: async (image) => (await docker.getImage(image).inspect()).Config.Labels ?? {},
    history: async (image) =>
      JSON.stringify([await docker.getImage(image).history(), await docker.getImage(image).inspect()]),
    remove: async (image) => {
      await docker
        .getImage(image)
        .remove({ force: true })
        .catch(() => undefined);
    },
    close: async () => {
      await docker.pruneImages({ filters: { dangling: ['true'], label: ['goldfish.contract=true'] } });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Frames of 8 bytes of header, of which the last four are the length. */
function demultiplex(data: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= data.length; ) {
    const length = data.readUInt32BE(at + 4);
    parts.push(data.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString('utf8');
}

describeImageBuilder('docker', open, NEEDS_ENGINE);
