import { randomBytes } from 'node:crypto';
import Docker from 'dockerode';
import { ENGINE_SOCKET, makeMachineImage } from '../support/machine-image.ts';
import type { CreateMachine, Machine, MachineContext, PowerCycle } from './machine.ts';
import {
  type Booted,
  bootContainer,
  createContainer,
  removeContainer,
  removeLeftovers,
  signalContainer,
} from './machine-container.ts';
import { diskNames, makeDisks, removeDisks } from './machine-disks.ts';
import { withMetadataServers } from './metadata-addresses.ts';

export type ContainerMachineOptions = {
  /** Label of all its containers (`goldfish.simulator`), and the beginning of their names. */
  simulator?: string;
  docker?: Docker;
  /** Of the metadata servers at 127.0.10.N; 0 takes any that is free, so that simulators do not meet. */
  metadataPort?: number;
  onAddress?: (name: string, address: string) => void;
};

/**
 * Machines that are containers of this machine's engine: the start-up script of the metadata runs in them, stdout and
 * stderr are the serial port, SIGTERM is the power button, the end of the first process is the end of the machine. What is
 * on the boot disk stays over a reboot. Each has a container engine of its own, with nothing in it; further disks
 * (`/dev/disk/by-id/google-<name>`) need loop devices. Needs root, an engine, and dockerd, containerd and runc.
 */
export function containerMachine(options: ContainerMachineOptions = {}): CreateMachine {
  const simulator = options.simulator ?? `goldfish-sim-${randomBytes(4).toString('hex')}`;
  const docker = options.docker ?? new Docker({ socketPath: ENGINE_SOCKET });
  const addresses = new Map<string, string>();
  let image: Promise<string> | undefined;
  const ready = (): Promise<string> => {
    image ??= removeLeftovers(docker).then(() => makeMachineImage(docker));
    return image;
  };
  return withMetadataServers(
    (context) => {
      const home = new MachineHome({ docker, simulator, context, ready });
      const environment = () => ({ GCE_METADATA_HOST: addresses.get(context.name) ?? '' });
      return machineIn({ docker, home, environment });
    },
    {
      port: options.metadataPort ?? 0,
      onAddress: (name, address) => {
        addresses.set(name, address);
        options.onAddress?.(name, address);
      },
    },
  );
}

type HomeParts = {
  docker: Docker;
  simulator: string;
  context: MachineContext;
  /** The image, made once for all. */
  ready: () => Promise<string>;
};

/** The container of a machine and its disks, from the first boot to the removal. */
class MachineHome {
  readonly #parts: HomeParts;
  #container: Promise<Docker.Container> | undefined;
  #disksFolder: string | undefined;
  #removal: Promise<void> | undefined;

  constructor(parts: HomeParts) {
    this.#parts = parts;
  }

  /** Made where it is not there yet. */
  container(): Promise<Docker.Container> {
    if (this.#removal !== undefined) return Promise.reject(new Error('The machine is gone.'));
    this.#container ??= this.#make();
    return this.#container;
  }

  async #make(): Promise<Docker.Container> {
    const { docker, simulator, context, ready } = this.#parts;
    const image = await ready();
    const disks = await makeDisks(diskNames(context.metadata));
    this.#disksFolder = disks?.folder;
    return createContainer({ docker, image, simulator, name: `${context.name}-${context.id}`, disks });
  }

  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    const container = await this.#container?.catch(() => undefined);
    if (container) return removeContainer(container, this.#disksFolder);
    if (this.#disksFolder !== undefined) await removeDisks(this.#disksFolder);
  }
}

function machineIn(parts: {
  docker: Docker;
  home: MachineHome;
  environment: () => Record<string, string>;
}): Machine {
  let boot: Boot | undefined;
  return {
    start: (cycle) => {
      boot = startBoot({ ...parts, environment: parts.environment(), cycle });
      return boot.up;
    },
    pressPowerButton: () => boot?.press(),
    kill: () => boot?.cut(),
    remove: () => parts.home.remove(),
  };
}

type Boot = { up: Promise<void>; press(): void; cut(): Promise<void> };

/** One boot, which may be cut short at any moment. */
function startBoot(of: {
  docker: Docker;
  home: MachineHome;
  environment: Record<string, string>;
  cycle: PowerCycle;
}): Boot {
  const { docker, home, environment, cycle } = of;
  let isCut = false;
  const work = async (): Promise<{ container: Docker.Container; booted: Booted } | undefined> => {
    const container = await home.container();
    if (isCut) return undefined;
    const onText = (text: string): void => cycle.writeSerial(text);
    return { container, booted: await bootContainer({ docker, container, environment, onText }) };
  };
  const running = work();
  const up = running.then(async (machine) => {
    await machine?.booted.up;
    void machine?.booted.ended.then(() => cycle.poweredOff());
  });
  return {
    up,
    press: () => {
      const pressed = up.then(async () => {
        const machine = await running;
        if (machine) await signalContainer(machine.container, 'SIGTERM');
      });
      // A machine that does not boot, or an engine that is gone: the power is cut in the end.
      pressed.catch(() => undefined);
    },
    cut: async () => {
      isCut = true;
      const machine = await running.catch(() => undefined);
      if (!machine) return;
      await signalContainer(machine.container, 'SIGKILL');
      await machine.booted.ended;
    },
  };
}
