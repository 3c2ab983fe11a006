import type { Cause } from '../../../src/core/causes.ts';
import type { StageRun } from '../../../src/core/rows.ts';
import { attemptsOfRun } from '../../../src/store/attempts.ts';
import { eventsOfRun } from '../../../src/store/run-events.ts';
import { runsOfPipelineRun } from '../../../src/store/stage-runs.ts';
import { mostAtOnce, readTold } from '../kit/executions.ts';
import { leftovers, leftoversAfterGc } from '../kit/leftovers.ts';
import type { Tally } from '../kit/tally.ts';
import { type Expectation, judgeRun } from '../kit/verdict.ts';
import { keyOf } from './attempts-at-work.ts';
import type { Victim } from './plan.ts';
import { type Aftermath, lastPart, notHit, type Storm } from './storm.ts';

/** What an attempt may end as of which this was killed. One that was just about to end may end well all the same. */
const CAUSES_OF: Partial<Record<Victim, Cause>> = {
  'run wrapper': 'worker_lost',
  container: 'worker_lost',
  stage: 'exit_nonzero',
};

/**
 * Of the blows that were due so many must have hit, however slow the machine: most of a gust find nobody there, for what
 * was killed takes seconds to come back, but each lull is long enough for it.
 */
const LEAST_HITS = 1 / 10;

/** Counts what became of every run; the note for the report. */
export async function judgeStorm(of: Storm, after: Aftermath, tally: Tally): Promise<string> {
  const { project, calls, kills, started } = after;
  const told = readTold(project);
  let restarts = 0;
  let runs = 0;
  for (const [batch, id] of calls) {
    for (const run of runsOfPipelineRun(project.db, id)) {
      const broken = judgeRun({ project, told, started }, run, expectationOf(run, batch, of, after));
      tally.count('right-end', broken['right-end'] ?? unexplained(run, after));
      tally.count('once', broken.once);
      if (run.state === 'completed') tally.count('outputs', broken.outputs);
      restarts += eventsOfRun(project.db, run.id).filter(({ event }) => event === 'restart').length;
      runs += 1;
    }
  }
  const executions = told.filter(({ word }) => word === 'begin').length;
  const stored = project.db.prepare<{ n: number }>('SELECT count(*) AS n FROM stage_runs').get()?.n ?? 0;
  const counts = [executions, ...(started === undefined ? [] : [started.length])];
  const isCounted =
    runs === after.runs && stored === after.runs && counts.every((count) => count === runs + restarts);
  const counted = `${stored} runs, ${counts.join(' and ')} executions, ${restarts} restarts; ${after.runs} runs were asked for`;
  tally.count('once', isCounted ? undefined : counted);
  // A program that was killed never told that it ended.
  if (after.hit.size === 0) {
    const most = mostAtOnce(told);
    tally.count(
      'right-end',
      most <= after.slots ? undefined : `${most} runs at once, ${after.slots} are allowed`,
    );
  }
  // All were over when there was no client; a storm that hit nobody of a kind shows nothing of it.
  const spared = notHit(of, kills);
  tally.count('goes-on', spared.length === 0 ? undefined : `no ${spared.join(', no ')} was killed`);
  tally.count('goes-on', starved(after));
  tally.count('goes-on', tooMild(after));
  const left = [...(await leftovers(project.place())), ...(await leftoversAfterGc(project.place()))];
  tally.count('no-leftovers', left.length === 0 ? undefined : left.join('; '));
  const killed = Object.entries(kills).filter(([, count]) => count > 0);
  const victims = killed.map(([victim, count]) => `${count} × ${victim}`).join(', ');
  const byEngine = started === undefined ? '' : `, ${started.length} by the engine's own count`;
  return `${victims} killed within ${Math.round(after.blew.seconds)} s; ${executions} executions${byEngine}, ${restarts} restarts`;
}

/** A storm in which too little gets done to be nearly over: what it left was done in the calm. */
function starved({ runs, blew }: Aftermath): string | undefined {
  if (blew.open <= lastPart(runs)) return undefined;
  const seconds = Math.round(blew.seconds);
  return `the storm starved: after ${seconds} s of blows ${blew.open} of ${runs} runs had not ended`;
}

function tooMild({ kills, blew }: Aftermath): string | undefined {
  const hits = Object.values(kills).reduce((sum, count) => sum + count, 0);
  if (hits > 0 && hits >= blew.due * LEAST_HITS) return undefined;
  return `only ${hits} of ${blew.due} blows that were due within ${Math.round(blew.seconds)} s hit anybody`;
}

/** What the kills that hit explain; which of two kills of one attempt came first decides its cause. */
function expectationOf(run: StageRun, batch: number, of: Storm, after: Aftermath): Expectation {
  const causes = attemptsOfRun(after.project.db, run.id).map(({ attempt, cause }) => ({ attempt, cause }));
  const last = causes.at(-1);
  const isSpent = causes.length === of.maxRestarts + 1 && isExplained(run, last, after);
  return {
    cause: isSpent && last?.cause != null ? last.cause : 'success',
    causesBefore: causes.slice(0, -1).flatMap(({ cause }) => cause ?? []),
    batch,
  };
}

type Ended = { attempt: number; cause: Cause | null } | undefined;

function isExplained(run: StageRun, ended: Ended, { hit }: Aftermath): boolean {
  if (ended === undefined) return false;
  const killed = [...(hit.get(keyOf({ runId: run.id, attempt: ended.attempt })) ?? [])];
  return killed.some((victim) => CAUSES_OF[victim] === ended.cause);
}

/** Every attempt that did not end well must have been hit by something that makes it end so. */
function unexplained(run: StageRun, after: Aftermath): string | undefined {
  const attempts = attemptsOfRun(after.project.db, run.id);
  const wrong = attempts.find((ended) => ended.cause !== 'success' && !isExplained(run, ended, after));
  if (wrong === undefined) return undefined;
  return `${run.id}: attempt ${wrong.attempt} ended as ${wrong.cause} although nothing of it was killed so`;
}
