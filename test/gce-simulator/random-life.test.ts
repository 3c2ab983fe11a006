import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  createFastSimulator,
  type FastSimulator,
  instanceRequest,
  type Json,
  SPOT,
  ZONE,
} from './fast-simulator.ts';
import type { FaultInput } from './faults.ts';
import type { CreateMachine } from './machine.ts';
import { scriptedMachine } from './scripted-machine.ts';

const NAMES = ['m1', 'm2', 'm3'];
const name = fc.constantFrom(...NAMES);
const method = fc.constantFrom('instances.insert', 'instances.delete', 'instances.stop', 'instances.start');

const fault: fc.Arbitrary<FaultInput> = fc.oneof(
  fc.record({ kind: fc.constant('stock-out' as const), name }),
  fc.record({ kind: fc.constant('quota' as const), name }),
  fc.record({ kind: fc.constant('slow-provisioning' as const), ms: fc.integer({ min: 0, max: 60_000 }) }),
  fc.record({ kind: fc.constant('slow-boot' as const), ms: fc.integer({ min: 0, max: 60_000 }) }),
  fc.record({
    kind: fc.constant('api-error' as const),
    method,
    status: fc.constant(503 as const),
    after: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('operation-error' as const), method }),
  fc.record({
    kind: fc.constant('lost-operation' as const),
    method,
    how: fc.constantFrom('forgotten' as const, 'never-done' as const),
  }),
  fc.record({ kind: fc.constant('delete-never-confirms' as const) }),
  fc.record({
    kind: fc.constantFrom('preempt' as const, 'vanish' as const, 'host-error' as const, 'stop' as const),
    afterMs: fc.integer({ min: 0, max: 60_000 }),
  }),
);

type Step = (sim: FastSimulator) => Promise<unknown>;

/** A counterexample is printed as what was done. */
const named = (text: string, run: Step) => ({ run, [fc.toStringMethod]: () => text });

/** What is refused is no step; what is answered in any other way is one. */
const call =
  (verb: string, path: string, body?: Json): Step =>
  (sim) =>
    sim.call(verb, `zones/${ZONE}/instances${path}`, body);

const step: fc.Arbitrary<{ run: Step }> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .integer({ min: 0, max: 40_000 })
      .map((ms) => named(`advance ${ms}`, (sim) => sim.time.advance(ms))),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        name,
        fc.constantFrom(
          {},
          SPOT,
          { ...SPOT, instanceTerminationAction: 'DELETE' },
          { maxRunDuration: { seconds: '40' }, instanceTerminationAction: 'STOP' },
        ),
      )
      .map(([one, scheduling]) =>
        named(
          `insert ${one} ${JSON.stringify(scheduling)}`,
          call('POST', '', instanceRequest({ name: one, scheduling })),
        ),
      ),
  },
  { weight: 2, arbitrary: name.map((one) => named(`delete ${one}`, call('DELETE', `/${one}`))) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(name, fc.constantFrom('stop', 'start', 'reset'))
      .map(([one, verb]) => named(`${verb} ${one}`, call('POST', `/${one}/${verb}`))),
  },
  {
    weight: 2,
    arbitrary: fault.map((one) => named(JSON.stringify(one), async (sim) => sim.faults.add(one))),
  },
);

/** Machines that run, by instance, and whether one was switched on twice. */
function watchedMachines() {
  const on = new Set<string>();
  const wrong: string[] = [];
  const scripted = scriptedMachine((guest) => {
    // Some systems take a while to shut down, some do not shut down at all, one shuts itself down.
    if (guest.name === 'm2') guest.onPowerButton(() => guest.after(20_000, guest.halt));
    if (guest.name === 'm3') guest.onPowerButton(() => undefined);
    if (guest.name === 'm3' && guest.boot === 2) guest.after(30_000, guest.halt);
  });
  return {
    on,
    wrong,
    createMachine: ((context) => {
      const machine = scripted(context);
      const { name: itsName, id } = context;
      return {
        ...machine,
        start: (cycle) => {
          if (on.has(id)) wrong.push(`${itsName} was switched on twice`);
          on.add(id);
          return machine.start({
            ...cycle,
            poweredOff: () => {
              on.delete(id);
              cycle.poweredOff();
            },
          });
        },
        kill: () => {
          on.delete(id);
          return machine.kill();
        },
      };
    }) satisfies CreateMachine,
  };
}

/** What holds after every step. */
function complaints(sim: FastSimulator, on: Set<string>): string[] {
  const instances = new Map(sim.instances().map((instance) => [instance.id, instance]));
  const paid = sim.ledger.usages().filter(({ endedAt }) => endedAt === undefined);
  const found: string[] = [];
  for (const { id, name: one } of paid) {
    const status = instances.get(id)?.status;
    if (status !== 'RUNNING' && status !== 'STOPPING') found.push(`${one} is ${status} and is paid for`);
  }
  for (const { id, name: one, status } of instances.values()) {
    if (status === 'RUNNING' && !paid.some((usage) => usage.id === id)) found.push(`${one} runs for nothing`);
  }
  for (const id of on) {
    const status = instances.get(id)?.status;
    if (status !== 'RUNNING' && status !== 'STOPPING')
      found.push(`a machine is on whose instance is ${status}`);
  }
  for (const { name: one, users } of sim.disks()) {
    if (!users?.some((user) => [...instances.values()].some(({ selfLink }) => selfLink === user)))
      found.push(`disk ${one} is free`);
  }
  return found;
}

it('keeps machines, bills and disks in step with instances, and gets rid of all of them in the end', {
  timeout: 120_000,
}, async () => {
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (chosen) => {
      const { on, wrong, createMachine } = watchedMachines();
      const sim = createFastSimulator({ createMachine });
      for (const { run } of chosen) {
        await run(sim);
        steps += 1;
        expect([...wrong, ...complaints(sim, on)]).toEqual([]);
      }
      // Each round may use up one fault that is still there.
      for (let round = 0; round < 100 && (sim.instances().length > 0 || round < 2); round++) {
        for (const one of NAMES) await call('DELETE', `/${one}`)(sim);
        await sim.time.advance(200_000);
      }
      expect([sim.instances(), sim.disks(), [...on]]).toEqual([[], [], []]);
      expect(sim.ledger.usages().filter(({ endedAt }) => endedAt === undefined)).toEqual([]);
    }),
    { numRuns: 60 },
  );
  expect(steps).toBeGreaterThan(1_000);
});
