import { describe, it } from 'vitest';
import type { Backend } from '../kit/fault-project.ts';
import { LONG, SEED } from '../kit/outcome.ts';
import { createTally } from '../kit/tally.ts';
import { judgeStorm } from './judge-storm.ts';
import type { Victim } from './plan.ts';
import { longestStorm, type Storm, storm } from './storm.ts';

/** Fewer, to look at one again. */
const runsOn = (backend: Backend): number => {
  const few = backend === 'docker' ? 16 : 30;
  return Number(process.env['GOLDFISH_FAULTS_RUNS'] ?? (LONG ? 500 : few));
};

/** A server that is killed before it has answered a call helps nobody: it must have its chance. */
const PROGRAMS: Storm['victims'] = ['supervisor', 'supervisor', 'supervisor', 'server'];

function everybody(backend: Backend): Storm['victims'] {
  const parts: Victim[] =
    backend === 'docker' ? ['run wrapper', 'stage', 'container'] : ['run wrapper', 'stage'];
  return ['supervisor', 'supervisor', 'server', ...parts, ...parts];
}

async function weather(of: Storm, fault: string): Promise<void> {
  console.log(
    `${of.backend}, seed ${of.seed}: ${of.runs} runs, ${[...new Set(of.victims)].join(', ')} killed`,
  );
  const after = await storm(of);
  const tally = createTally();
  try {
    const note = await judgeStorm(of, after, tally);
    console.log(note);
    tally.state({ fault, backend: of.backend, note });
  } finally {
    await after.project.dispose();
  }
}

/** Both storms on one backend. Each has its file, as a part of the long form that can be run by itself. */
export function describeStorms(backend: Backend, { there, needs }: { there: boolean; needs: string }): void {
  const all = runsOn(backend);
  // What is left after the longest storm is done in the calm, which has a limit of its own.
  const timeout = (2 * longestStorm(all) + 300) * 1000;
  describe(`on ${backend}`, () => {
    it.skipIf(!there)(
      `no run is lost or executed twice while servers and supervisors are killed at random${needs}`,
      { timeout },
      async () => {
        const of = { backend, seed: SEED, runs: all, victims: PROGRAMS, maxRestarts: 0, workSeconds: 0 };
        await weather(of, 'server or supervisor killed every few hundred milliseconds, in gusts');
      },
    );

    it.skipIf(!there)(
      `each restart is one more execution, and each end right, while everything is killed at random${needs}`,
      { timeout },
      async () => {
        const runs = LONG ? all : Math.ceil(all / 2);
        const victims = everybody(backend);
        const workSeconds = LONG ? 0.5 : 1.5;
        const of = { backend, seed: SEED + 1, runs, victims, maxRestarts: 2, workSeconds };
        await weather(
          of,
          'server, supervisor, run wrapper, stage or container killed every few hundred milliseconds, in gusts',
        );
      },
    );
  });
}
