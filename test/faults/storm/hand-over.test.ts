import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readLease } from '../../../src/store/lease.ts';
import { getStageRun } from '../../../src/store/stage-runs.ts';
import { until } from '../../integration/until.ts';
import { readTold } from '../kit/executions.ts';
import type { FaultProject, Server } from '../kit/fault-project.ts';
import { LONG } from '../kit/outcome.ts';
import { createTally } from '../kit/tally.ts';
import { calm, createTellingProject, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';

const TRIALS = LONG ? 20 : 5;
/** A program ends with it that ended while no supervisor lived. */
const EXIT_CODE = 7;
const MOST_MS = 5_000;

type Trial = { tookMs: number; wrong: string | undefined };

/** The supervisor is killed while a program runs, and the program ends before anybody has taken over. */
async function handOver(project: FaultProject, server: Server, trial: number): Promise<Trial> {
  const gate = join(project.outside, `gate-${trial}`);
  const answer = await server.call('run', {
    workspace: WORKSPACE,
    reason: 'It ends while nobody looks',
    config_override: {
      one: { ...ledgerOf(project, 'process'), gate, batch: trial, exits: { 1: EXIT_CODE } },
    },
  });
  const [{ run_id: runId }] = answer['runs'] as [{ run_id: string }];
  const told = (word: string): boolean =>
    readTold(project).some((line) => line.word === word && line.runId === runId);
  await until(() => told('begin'), 'the begin of the program');
  const before = project.leaseHolder();
  if (before === undefined) throw new Error('nobody holds the lease of a project in which a run runs');
  process.kill(before, 'SIGKILL');
  const killedAt = performance.now();
  writeFileSync(gate, '');
  const isTaken = (): boolean => ![undefined, before].includes(project.leaseHolder());
  await until(isTaken, 'another supervisor');
  const tookMs = performance.now() - killedAt;
  const { acquiredAt } = readLease(project.db);
  await calm(project);
  return { tookMs, wrong: untrue(project, runId, acquiredAt ?? '') };
}

function untrue(project: FaultProject, runId: string, takenAt: string): string | undefined {
  const run = getStageRun(project.db, runId);
  const { endedAt } = JSON.parse(readFileSync(project.layout.attempt(runId, 1).result, 'utf8')) as {
    endedAt: string;
  };
  if (run?.cause !== 'exit_nonzero' || run.exitCode !== EXIT_CODE) {
    return `${runId} ended as ${run?.cause} with ${run?.exitCode}`;
  }
  if (endedAt >= takenAt)
    return `${runId} ended at ${endedAt}, and the lease was taken before, at ${takenAt}`;
  return run.endedAt === endedAt ? undefined : `${runId} ended at ${endedAt}; its row says ${run.endedAt}`;
}

it('hands over within 5 s of the death of a supervisor, and finishes what ended meanwhile as what and when it did', async () => {
  const { project, server } = await createTellingProject({ backend: 'process', stages: ['one'] });
  try {
    const tally = createTally();
    const took: number[] = [];
    for (let trial = 1; trial <= TRIALS; trial += 1) {
      const { tookMs, wrong } = await handOver(project, server, trial);
      took.push(tookMs);
      tally.count('goes-on', tookMs < MOST_MS ? undefined : `the hand-over took ${Math.round(tookMs)} ms`);
      tally.count('right-end', wrong);
    }
    const note = `lease taken again after at most ${(Math.max(...took) / 1000).toFixed(1)} s; a server alive`;
    console.log(note);
    expect(took).toHaveLength(TRIALS);
    tally.state({ fault: 'supervisor killed, a run ends before the next one', backend: 'process', note });
  } finally {
    await server.close();
    await project.dispose();
  }
});
