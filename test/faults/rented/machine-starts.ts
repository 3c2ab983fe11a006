import type { IncomingMessage } from 'node:http';
import Docker from 'dockerode';
import { LABELS } from '../../../src/backends/container.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { processStart } from '../../../src/os/process-identity.ts';
import type { AttemptKey } from '../../../src/store/attempts.ts';
import type { RentedRig } from '../../integration/gce/rented-rig.ts';
import { attemptOf, type EngineStarts, tellStarts } from '../kit/engine-starts.ts';
import { ENGINE_SOCKET } from '../kit/leftovers.ts';

const LOOK_MS = 50;

/**
 * Listens to the engine inside each machine, through the file system that its first process sees. An engine that comes up
 * anew remembers nothing of before, so each start is told once.
 */
export async function hearMachines({ machineLabel }: RentedRig): Promise<EngineStarts> {
  const host = new Docker({ socketPath: ENGINE_SOCKET });
  const starts: AttemptKey[] = [];
  const streams = new Set<IncomingMessage>();
  let isClosed = false;
  let silent: string | undefined;
  const follow = async (id: string): Promise<void> => {
    const pid = (await host.getContainer(id).inspect()).State.Pid;
    const boot = processStart(pid);
    // Its engine comes up some seconds later, or never where the power is cut before.
    while (!isClosed && boot !== undefined && processStart(pid) === boot) {
      try {
        const engine = new Docker({ socketPath: `/proc/${pid}/root/run/docker.sock` });
        const all = { label: [LABELS.run], since: 1 };
        const stream = await tellStarts(engine, all, (event) => starts.push(attemptOf(event)));
        // With the machine it ends in the middle of a line.
        stream.on('error', () => undefined);
        streams.add(stream);
        return;
      } catch {
        await systemClock.sleep(LOOK_MS);
      }
    }
  };
  const boots = await tellStarts(host, { label: [machineLabel] }, ({ Actor }) => {
    // One that is gone by now has started nothing.
    follow(Actor.ID).catch((error: { statusCode?: number }) => {
      if (error.statusCode !== 404) silent ??= String(error);
    });
  });
  boots.on('error', (error) => {
    silent ??= error.message;
  });
  boots.once('close', () => {
    silent ??= 'it ended the connection';
  });
  return {
    heard: () => {
      if (silent !== undefined) throw new Error(`not every machine was heard: ${silent}`);
      return [...starts];
    },
    close: () => {
      isClosed = true;
      for (const stream of [boots, ...streams]) stream.destroy();
    },
  };
}
