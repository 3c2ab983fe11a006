import type { CreateMachine, MachineContext, PowerCycle } from './machine.ts';

/** What a script sees of the machine it runs on. Everything it has asked for ends with the power. */
export type Guest = {
  name: string;
  zone: string;
  /** 1 for the first boot. */
  boot: number;
  /** Survives restarts, as a boot disk does. */
  disk: Map<string, string>;
  /** Milliseconds by the machine's own clock, which may be skewed. */
  now(): number;
  /** A line on the serial port. */
  print(line: string): void;
  after(ms: number, action: () => void): void;
  /** The value of an instance attribute, as the metadata server gives it. */
  attribute(key: string): string | undefined;
  /** Called with the new value whenever it has changed. */
  onAttribute(key: string, action: (value: string | undefined) => void): void;
  /** The metadata server says that the machine is preempted. */
  onPreempted(action: () => void): void;
  /** The power button was pressed. Without such an action the system shuts down within a second. */
  onPowerButton(action: () => void): void;
  /** Shuts the machine down. */
  halt(): void;
};

export type Script = (guest: Guest) => void;

const SHUTDOWN_MS = 1_000;

/** A machine without a computer: its program is a function that runs at each boot, on simulated time. */
export function scriptedMachine(script: Script): CreateMachine {
  return (context) => {
    const disk = new Map<string, string>();
    /** Ends everything of the cycle that runs. */
    let cut = (): void => undefined;
    let pressed: (() => void)[] = [];
    let halt = (): void => undefined;
    return {
      start: (cycle) => {
        const timers = new Set<() => void>();
        let over = false;
        const after = (ms: number, action: () => void): void => {
          if (over) return;
          const callOff = context.time.after(ms, () => {
            timers.delete(callOff);
            action();
          });
          timers.add(callOff);
        };
        const unwatch: (() => void)[] = [];
        const observe = (path: string, action: (value: string | undefined) => void): void => {
          if (!over) unwatch.push(watch(context, path, action));
        };
        cut = () => {
          over = true;
          for (const callOff of [...timers, ...unwatch]) callOff();
          timers.clear();
          pressed = [];
        };
        halt = () => {
          if (over) return;
          cut();
          cycle.poweredOff();
        };
        pressed = [];
        script({
          ...guestBasics(context, cycle, disk),
          after,
          onAttribute: (key, action) => observe(`instance/attributes/${key}`, action),
          onPreempted: (action) => observe('instance/preempted', (value) => value === 'TRUE' && action()),
          onPowerButton: (action) => {
            pressed.push(action);
          },
          halt,
        });
      },
      pressPowerButton: () => {
        // The halt of this cycle: after its end it does nothing.
        if (pressed.length === 0) context.time.after(SHUTDOWN_MS, halt);
        for (const action of pressed) action();
      },
      kill: () => cut(),
      remove: () => disk.clear(),
    };
  };
}

function guestBasics(context: MachineContext, cycle: PowerCycle, disk: Map<string, string>) {
  return {
    name: context.name,
    zone: context.zone,
    boot: cycle.number,
    disk,
    now: () => context.time.now() + context.clockSkewMs,
    print: (line: string) => cycle.writeSerial(`${line}\n`),
    attribute: (key: string) => context.metadata.value(`instance/attributes/${key}`),
  };
}

/** Calls the action whenever the value of a metadata path is another one. What comes back ends it. */
function watch(
  { metadata }: MachineContext,
  path: string,
  action: (value: string | undefined) => void,
): () => void {
  let known = metadata.value(path);
  return metadata.onChange(() => {
    const value = metadata.value(path);
    if (value === known) return;
    known = value;
    action(value);
  });
}

/** Boots, says so on the serial port, and does nothing until it is switched off. */
export const idleScript: Script = (guest) => {
  guest.print(`${guest.name} boots (${guest.boot})`);
};
