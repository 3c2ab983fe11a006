import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cause } from '../../../src/core/causes.ts';
import { sha256 } from '../../../src/core/json.ts';
import type { RunAttempt, RunEvent, StageRun } from '../../../src/core/rows.ts';
import { isTerminal } from '../../../src/core/run-lifecycle.ts';
import { type AttemptKey, attemptsOfRun } from '../../../src/store/attempts.ts';
import { getPipelineRun } from '../../../src/store/pipeline-runs.ts';
import { eventsOfRun } from '../../../src/store/run-events.ts';
import { outputsOfRun } from '../../../src/store/signals.ts';
import { METRIC_POINTS, OUTPUTS, outputHash, type Told } from './executions.ts';
import type { FaultProject } from './fault-project.ts';

/** What is wrong with a run, by the promise it breaks; nothing where it is as it must be. */
export type Broken = Partial<Record<'right-end' | 'once' | 'outputs', string>>;

export type Expectation = {
  cause: Cause;
  /** Of the attempts before the last. */
  causesBefore: readonly Cause[];
  /** Attempts of which it is not known whether their program came as far as telling that it began. */
  mayNotHaveBegun?: readonly number[];
  batch: number;
};

export type Evidence = {
  project: FaultProject;
  told: readonly Told[];
  /** What the container engine has started, where one has a part. */
  started?: readonly AttemptKey[] | undefined;
};

/** The whole truth about one run that is over, from its rows, its files, and what all stages and the engine told. */
export function judgeRun({ project, told, started }: Evidence, run: StageRun, expected: Expectation): Broken {
  const attempts = attemptsOfRun(project.db, run.id);
  const facts = { run, attempts, events: eventsOfRun(project.db, run.id), told, started };
  const end = wrongEnd(project, facts, expected);
  const executions = wrongExecutions(facts, expected);
  const outputs = run.state === 'completed' ? incomplete(project, run, expected.batch) : undefined;
  return {
    ...(end === undefined ? {} : { 'right-end': end }),
    ...(executions === undefined ? {} : { once: executions }),
    ...(outputs === undefined ? {} : { outputs }),
  };
}

type Facts = Omit<Evidence, 'project'> & { run: StageRun; attempts: RunAttempt[]; events: RunEvent[] };

function wrongEnd(project: FaultProject, facts: Facts, expected: Expectation): string | undefined {
  const { run, attempts, events } = facts;
  const causes = attempts.map(({ cause }) => cause ?? 'none');
  const wanted = [...expected.causesBefore, expected.cause];
  const ends = events.filter(({ toState }) => isTerminal(toState));
  const restarts = events.filter(({ event }) => event === 'restart').length;
  const over = getPipelineRun(project.db, run.pipelineRunId);
  if (run.cause !== expected.cause) return `${run.id} ended as ${run.cause}: ${run.errorMessage}`;
  // A cancel may come before there is an attempt.
  if (attempts.length > 0 && causes.join() !== wanted.join())
    return `${run.id}: attempts ended as ${causes.join()}`;
  if (ends.length !== 1) return `${run.id} has ${ends.length} terminal events`;
  if (restarts !== Math.max(0, attempts.length - 1)) return `${run.id} has ${restarts} restarts`;
  if (over?.endedAt == null) return `${run.pipelineRunId} is ${over?.state}`;
  const held = attempts.filter(({ releasedAt }) => releasedAt === null);
  return held.length === 0
    ? undefined
    : `${run.id} still holds attempt ${held.map(({ attempt }) => attempt).join()}`;
}

function wrongExecutions({ told, started, run, attempts }: Facts, expected: Expectation): string | undefined {
  const of = { run, attempts, expected };
  const begun = told.filter(({ word }) => word === 'begin');
  const byItself = wrongCount(begun, of);
  if (byItself !== undefined) return `${byItself}, as the program tells`;
  const byEngine = started && wrongCount(started, of);
  return byEngine && `${byEngine}, as the engine tells`;
}

function wrongCount(
  seen: readonly AttemptKey[],
  { run, attempts, expected }: Pick<Facts, 'run' | 'attempts'> & { expected: Expectation },
): string | undefined {
  const ofRun = seen.filter(({ runId }) => runId === run.id);
  const counts = attempts.map(({ attempt }) => ofRun.filter((one) => one.attempt === attempt).length);
  const isWrong = counts.some((count, at) => {
    const mayBeNone = expected.mayNotHaveBegun?.includes(at + 1) === true;
    return count !== 1 && !(mayBeNone && count === 0);
  });
  if (ofRun.length !== counts.reduce((sum, count) => sum + count, 0))
    return `${run.id}: ${ofRun.length} executions`;
  return isWrong ? `${run.id} was executed ${counts.join(' + ')} times` : undefined;
}

/** Outputs by their content on the disk, the log and the metrics of the attempt that completed. */
function incomplete(project: FaultProject, run: StageRun, batch: number): string | undefined {
  const { layout, db } = project;
  const stored = outputsOfRun(db, run.id);
  for (const output of OUTPUTS) {
    const wanted = outputHash({ output, stage: run.stage, batch });
    const row = stored.find(({ name }) => name === output);
    if (row?.hash !== wanted) return `${run.id}: ${output} is ${row?.hash ?? 'missing'}`;
    const hex = wanted.slice('sha256:'.length);
    const kept = sha256(readFileSync(join(layout.objects, 'sha256', hex.slice(0, 2), hex)));
    if (kept !== wanted) return `${run.id}: the object of ${output} is not its content`;
  }
  const { log: folder } = layout.attempt(run.id, run.attempt);
  const log = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  const lines = log
    .join('')
    .split('\n')
    .filter((line) => line.endsWith(` I am ${run.stage}`));
  if (lines.length !== 1) return `${run.id}: its line is ${lines.length} times in the log`;
  const points = db
    .prepare<{ n: number }>('SELECT count(*) AS n FROM metrics WHERE run_id = ? AND attempt = ?')
    .get(run.id, run.attempt);
  return points?.n === METRIC_POINTS ? undefined : `${run.id}: ${points?.n} points of its metric`;
}
