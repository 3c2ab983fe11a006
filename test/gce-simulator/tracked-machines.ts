import type { CreateMachine, Machine } from './machine.ts';

export type TrackedMachines = {
  create: CreateMachine;
  /** Ends and removes every machine that is still there, those that are being removed included. None boots afterwards. */
  dispose(): Promise<void>;
};

/** Knows each machine until it is removed: where machines are real, none may outlive the simulator. */
export function trackMachines(createMachine: CreateMachine): TrackedMachines {
  const machines = new Set<Machine>();
  let disposed = false;
  return {
    create: (context) => {
      const machine = createMachine(context);
      machines.add(machine);
      return {
        ...machine,
        // What was under way when the simulator ended comes here later.
        start: (cycle) => (disposed ? undefined : machine.start(cycle)),
        remove: (): void | Promise<void> => {
          const removed = machine.remove();
          if (removed instanceof Promise) return removed.then(() => void machines.delete(machine));
          machines.delete(machine);
        },
      };
    },
    dispose: async () => {
      disposed = true;
      const ends = [...machines].map(async (machine) => {
        await machine.kill();
        await machine.remove();
      });
      machines.clear();
      const failed = (await Promise.allSettled(ends)).find((end) => end.status === 'rejected');
      if (failed) throw failed.reason;
    },
  };
}
