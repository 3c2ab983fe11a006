import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PLACES } from '../../../src/backends/container.ts';
import { isTerminal } from '../../../src/core/run-lifecycle.ts';
import { readLease } from '../../../src/store/lease.ts';
import { getStageRun } from '../../../src/store/stage-runs.ts';
import { hasEngine, NEEDS_ENGINE } from '../../contracts/docker-under-test.ts';
import { until } from '../../integration/until.ts';
import { type EngineStarts, hearStarts } from '../kit/engine-starts.ts';
import { readTold } from '../kit/executions.ts';
import type { Backend, FaultProject, Server } from '../kit/fault-project.ts';
import { LONG } from '../kit/outcome.ts';
import { createTally } from '../kit/tally.ts';
import { calm, createTellingProject, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';
import { judgeRun } from '../kit/verdict.ts';

const TRIALS = LONG ? 20 : 4;
/** Programs end with these, one after the other, while no supervisor lives. */
const EXIT_CODES = [7, 0];
/** From the death until another supervisor holds the lease. */
const LEASE_MS = 5_000;
/** From the death until the run that ended meanwhile is told to be over. */
const END_MS = 10_000;

type World = { backend: Backend; project: FaultProject; server: Server; engine: EngineStarts | undefined };
type Trial = { leaseMs: number; endMs: number; wrong: string | undefined };

/** The supervisor is killed while a program runs, and the program ends before anybody has taken over. */
async function handOver(world: World, trial: number): Promise<Trial> {
  const { backend, project, server } = world;
  const exitCode = EXIT_CODES[trial % EXIT_CODES.length] ?? 0;
  // What a container and we both see lies in the run's own folder.
  const gate = backend === 'docker' ? `${PLACES.checkpoints}/gate` : join(project.outside, `gate-${trial}`);
  const config = { ...ledgerOf(project, backend), gate, batch: trial, exits: { 1: exitCode } };
  const answer = await server.call('run', {
    workspace: WORKSPACE,
    reason: 'It ends while nobody looks',
    config_override: { one: config },
  });
  const [{ run_id: runId }] = answer['runs'] as [{ run_id: string }];
  const told = (word: string): boolean =>
    readTold(project).some((line) => line.word === word && line.runId === runId);
  await until(() => told('begin'), 'the begin of the program', 60);
  const before = project.leaseHolder();
  if (before === undefined) throw new Error('nobody holds the lease of a project in which a run runs');
  process.kill(before, 'SIGKILL');
  const killedAt = performance.now();
  writeFileSync(backend === 'docker' ? join(project.layout.run(runId), 'checkpoints', 'gate') : gate, '');
  const isTaken = (): boolean => ![undefined, before].includes(project.leaseHolder());
  await until(isTaken, 'another supervisor');
  const leaseMs = performance.now() - killedAt;
  const takenAt = readLease(project.db).acquiredAt ?? '';
  const isOver = (): boolean => isTerminal(getStageRun(project.db, runId)?.state ?? 'pending');
  await until(isOver, 'the end of the run', 60);
  const endMs = performance.now() - killedAt;
  await calm(project);
  return { leaseMs, endMs, wrong: untrue(world, { runId, exitCode, batch: trial, takenAt }) };
}

function untrue(
  { project, engine }: World,
  of: { runId: string; exitCode: number; batch: number; takenAt: string },
): string | undefined {
  const { runId, exitCode, batch, takenAt } = of;
  const run = getStageRun(project.db, runId);
  const { endedAt } = JSON.parse(readFileSync(project.layout.attempt(runId, 1).result, 'utf8')) as {
    endedAt: string;
  };
  if (run?.exitCode !== exitCode) return `${runId} ended with ${run?.exitCode} instead of ${exitCode}`;
  const cause = exitCode === 0 ? 'success' : 'exit_nonzero';
  const evidence = { project, told: readTold(project), started: engine?.heard() };
  const [broken] = Object.values(judgeRun(evidence, run, { cause, causesBefore: [], batch }));
  if (broken !== undefined) return broken;
  if (endedAt >= takenAt)
    return `${runId} ended at ${endedAt}, and the lease was taken before, at ${takenAt}`;
  return run.endedAt === endedAt ? undefined : `${runId} ended at ${endedAt}; its row says ${run.endedAt}`;
}

describe.for(['process', 'docker'] as const)('on %s', (backend) => {
  const skip = backend === 'docker' && !hasEngine;
  it.skipIf(skip)(
    `hands over within 5 s of the death of a supervisor, and finishes what ended meanwhile as what and when it did${skip ? NEEDS_ENGINE : ''}`,
    async () => {
      const { project, server } = await createTellingProject({ backend, stages: ['one'] });
      const engine = await hearStarts(project, backend);
      try {
        const tally = createTally();
        const took: Trial[] = [];
        for (let trial = 1; trial <= TRIALS; trial += 1) {
          const done = await handOver({ backend, project, server, engine }, trial);
          took.push(done);
          tally.count('goes-on', tooLate('the lease was taken', done.leaseMs, LEASE_MS));
          tally.count('goes-on', tooLate('the run was over', done.endMs, END_MS));
          tally.count('right-end', done.wrong);
        }
        const seconds = (of: (trial: Trial) => number): string =>
          (Math.max(...took.map(of)) / 1000).toFixed(1);
        const note = `lease taken again after at most ${seconds(({ leaseMs }) => leaseMs)} s, the run over after ${seconds(({ endMs }) => endMs)} s; a server alive`;
        console.log(note);
        expect(took).toHaveLength(TRIALS);
        tally.state({ fault: 'supervisor killed, a run ends before the next one', backend, note });
      } finally {
        engine?.close();
        await server.close();
        await project.dispose();
      }
    },
  );
});

function tooLate(what: string, tookMs: number, mostMs: number): string | undefined {
  return tookMs < mostMs ? undefined : `${what} only ${Math.round(tookMs)} ms after the death`;
}
