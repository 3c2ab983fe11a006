import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { StringDecoder } from 'node:string_decoder';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { currentProcess, isProcessAlive, type ProcessIdentity } from '../../src/os/process-identity.ts';
import { machineBinds, machinePath } from '../support/machine-image.ts';
import { type MachineDisks, removeDisks } from './machine-disks.ts';

/** Of every container that is a machine; its value is the simulator's id. */
export const LABEL_SIMULATOR = 'goldfish.simulator';
/** The process that has to remove it. */
export const LABEL_OWNER = 'goldfish.simulator-owner';
/** The folder of the files behind its further disks. */
export const LABEL_DISKS = 'goldfish.simulator-disks';

/** Beyond those that containers have anyway: mounts, networks and processes of the machine's own containers. */
const CAPABILITIES = ['SYS_ADMIN', 'NET_ADMIN', 'SYS_PTRACE'];

/** A container that is off. Its file system is the machine's boot disk, and goes with it. */
export function createContainer(of: {
  docker: Docker;
  image: string;
  simulator: string;
  /** Of the machine; no two of one simulator have the same. */
  name: string;
  disks: MachineDisks | undefined;
}): Promise<Docker.Container> {
  const { docker, image, simulator, name, disks } = of;
  return docker.createContainer({
    name: `${simulator}-${name}`,
    Image: image,
    Labels: {
      [LABEL_SIMULATOR]: simulator,
      [LABEL_OWNER]: JSON.stringify(currentProcess()),
      ...(disks && { [LABEL_DISKS]: disks.folder }),
    },
    Cmd: ['/usr/bin/python3', '-I', '-S', '-B', '/opt/machine/init.py'],
    Env: [`PATH=${machinePath()}`, 'HOME=/root', 'LANG=C.UTF-8'],
    // What its engine keeps cannot lie on the layers of another one.
    Volumes: { '/var/lib/docker': {} },
    HostConfig: {
      // Metadata, storage and registry of a test are on loopback.
      NetworkMode: 'host',
      Binds: machineBinds(),
      // Memory: empty after a reboot.
      Tmpfs: { '/run': 'rw,exec,nosuid,mode=755' },
      CapAdd: CAPABILITIES,
      SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
      MaskedPaths: [],
      ReadonlyPaths: [],
      Devices: disks?.devices ?? [],
      // What it prints is kept as the serial port.
      LogConfig: { Type: 'none', Config: {} },
    },
  });
}

export type Booted = {
  /** The first process listens to signals from then on; also when it has ended. */
  up: Promise<void>;
  /** It has ended, and all that it printed was handed over. */
  ended: Promise<void>;
};

/** Power on. `environment`: of everything on the machine; may be another at each boot. */
export async function bootContainer(of: {
  docker: Docker;
  container: Docker.Container;
  environment: Record<string, string>;
  onText: (text: string) => void;
}): Promise<Booted> {
  const { docker, container, environment, onText } = of;
  const files = pack();
  files.entry({ name: 'etc/machine.json' }, JSON.stringify(environment));
  files.finalize();
  await container.putArchive(await buffer(files), { path: '/' });
  const spoke = Promise.withResolvers<void>();
  const stream = await container.attach({ stream: true, stdout: true, stderr: true });
  const silent = new Promise<void>((resolve) => {
    for (const event of ['end', 'close', 'error']) stream.once(event, () => resolve());
  });
  const decoder = new StringDecoder('utf8');
  const port = new Writable({
    write: (data: Buffer, _encoding, done) => {
      onText(decoder.write(data));
      spoke.resolve();
      done();
    },
  });
  docker.modem.demuxStream(stream, port, port);
  await container.start();
  // An engine that is gone took its containers with it.
  const stopped = container.wait().catch(() => undefined);
  const ended = Promise.all([stopped, silent]).then(() => undefined);
  return { up: Promise.race([spoke.promise, ended]), ended };
}

/** Harmless where it is off already. */
export async function signalContainer(
  container: Docker.Container,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  await container.kill({ signal }).catch(unlessStatus(404, 409));
}

/** With everything that belongs to it. Where somebody else is about to remove it, that is left to him. */
export async function removeContainer(
  container: Docker.Container,
  disksFolder: string | undefined,
): Promise<void> {
  await container.remove({ force: true, v: true }).catch(unlessStatus(404, 409));
  if (disksFolder !== undefined) await removeDisks(disksFolder);
}

/** Machines of simulators that were killed: nobody else removes them. */
export async function removeLeftovers(docker: Docker): Promise<void> {
  const filters = { label: [LABEL_SIMULATOR] };
  for (const { Id, Labels } of await docker.listContainers({ all: true, filters })) {
    const owner = JSON.parse(Labels[LABEL_OWNER] ?? 'null') as ProcessIdentity | null;
    if (owner === null || isProcessAlive(owner)) continue;
    await removeContainer(docker.getContainer(Id), Labels[LABEL_DISKS]);
  }
}

function unlessStatus(...statuses: number[]): (error: unknown) => void {
  return (error) => {
    const { statusCode } = error as { statusCode?: number };
    if (statusCode === undefined || !statuses.includes(statusCode)) throw error;
  };
}
