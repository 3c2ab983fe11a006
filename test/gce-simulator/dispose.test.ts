import { expect, it } from 'vitest';
import { createFastSimulator, ZONE } from './fast-simulator.ts';
import type { Machine } from './machine.ts';

/** Writes down what is done to it. `removal`: what its removal waits for. */
function machineThatTells(done: string[], removal: Promise<void> = Promise.resolve()): Machine {
  return {
    start: ({ number }) => {
      done.push(`start ${number}`);
    },
    pressPowerButton: () => undefined,
    kill: () => {
      done.push('kill');
    },
    remove: async () => {
      await removal;
      done.push('remove');
    },
  };
}

it('ends and removes every machine with the simulator, and boots none afterwards', async () => {
  const done: string[] = [];
  const sim = createFastSimulator({ createMachine: () => machineThatTells(done) });
  await sim.start();
  await sim.post(`zones/${ZONE}/instances/m1/reset`);
  await sim.dispose();
  expect(done).toEqual(['start 1', 'kill', 'remove']);
  await sim.time.advance(60_000);
  expect(done.filter((what) => what.startsWith('start'))).toEqual(['start 1']);
});

it('waits with its end for a machine that is being removed', async () => {
  const done: string[] = [];
  const removal = Promise.withResolvers<void>();
  const sim = createFastSimulator({ createMachine: () => machineThatTells(done, removal.promise) });
  await sim.start();
  sim.vanish('m1');
  const ended = sim.dispose().then(() => done.push('ended'));
  await sim.time.advance(1_000);
  expect(done).toEqual(['start 1', 'kill', 'kill']);
  removal.resolve();
  await ended;
  expect(done.at(-1)).toBe('ended');
});

it('has nothing to end of a machine that is gone', async () => {
  const done: string[] = [];
  const sim = createFastSimulator({ createMachine: () => machineThatTells(done) });
  await sim.start();
  sim.vanish('m1');
  await sim.time.advance(1_000);
  const before = [...done];
  await sim.dispose();
  expect(done).toEqual(before);
});

it('removes the others where one cannot be removed, and says that it could not', async () => {
  const done: string[] = [];
  const broken = { ...machineThatTells([]), remove: () => Promise.reject(new Error('device busy')) };
  const sim = createFastSimulator({
    createMachine: ({ name }) => (name === 'm1' ? broken : machineThatTells(done)),
  });
  await sim.start();
  await sim.start({ name: 'm2' });
  await expect(sim.dispose()).rejects.toThrow('device busy');
  expect(done).toEqual(['start 1', 'kill', 'remove']);
});
