import type { Metadata } from './metadata.ts';
import type { SimulatedTime } from './time.ts';

/**
 * One stretch from power on to power off. What a machine says after it has ended is not heard, so that a late exit of an
 * earlier boot cannot stop the next one.
 */
export type PowerCycle = {
  /** 1 for the first boot; a restart counts on. */
  number: number;
  /** Text for the first serial port. */
  writeSerial(text: string): void;
  /** The system has shut itself down. */
  poweredOff(): void;
};

/**
 * What runs inside an instance. The simulator decides when it is on; the machine knows nothing of the API. Where a method
 * returns a promise, the next step of the instance waits for it.
 */
export type Machine = {
  /** Power on: the system boots. What an earlier cycle left on the boot disk is there. A rejection is a failed boot. */
  start(cycle: PowerCycle): void | Promise<void>;
  /** The power button is pressed (ACPI): the system is asked to shut down, and says `poweredOff` when it has. */
  pressPowerButton(): void;
  /** The power is cut, also while `start` is under way; when this is over nothing of it runs. Harmless where it is off. */
  kill(): void | Promise<void>;
  /** The instance and its boot disk are gone. Comes after `kill`. */
  remove(): void | Promise<void>;
};

export type MachineContext = {
  project: string;
  zone: string;
  name: string;
  /** The instance's id: digits. */
  id: string;
  time: SimulatedTime;
  /** What its metadata server says; `onChange` tells of changes. Who wants it over HTTP serves it (metadata-server.ts). */
  metadata: Metadata;
  /** How far its clock is ahead of the true one, in milliseconds. */
  clockSkewMs: number;
};

export type CreateMachine = (context: MachineContext) => Machine;
