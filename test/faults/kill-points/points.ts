import type { Cause } from '../../../src/core/causes.ts';
import type { Backend } from '../kit/fault-project.ts';

/**
 * What is done when a process is killed: `one` run, one so `long` that it is seen while it runs, the `two` stages of a pipeline, one whose first attempt fails
 * (`crash`), one that is canceled while it runs or, with the supervisor dead, before it was started.
 */
export type Scenario = 'one' | 'long' | 'two' | 'crash' | 'cancel' | 'cancel-early';

export type KillPoint = {
  /** Each is a kill; the last one gives the trial its name, those before lead there. */
  at: readonly string[];
  /** Who dies at the last one. What is executed is killed while the run wrapper waits there. */
  who: 'server' | 'supervisor' | 'run wrapper' | 'stage' | 'container';
  scenario: Scenario;
  /** The causes of the attempts that a restart followed. */
  causesBefore: readonly Cause[];
  /** Attempts whose program may not have begun when it was over with them. */
  mayNotHaveBegun: readonly number[];
  /** Absent: every backend passes there. */
  only?: Backend;
  /** It takes so long to come there that it is left to the long form. */
  slow?: true;
};

type Rest = Partial<Omit<KillPoint, 'at' | 'who'>>;

function point(who: KillPoint['who'], at: string, rest: Rest = {}): KillPoint {
  return { at: at.split(' '), who, scenario: 'one', causesBefore: [], mayNotHaveBegun: [], ...rest };
}

const TWO: Rest = { scenario: 'two' };
const CANCEL: Rest = { scenario: 'cancel' };
const EARLY: Rest = { scenario: 'cancel-early', mayNotHaveBegun: [1] };
const CRASH: Rest = { scenario: 'crash', causesBefore: ['exit_nonzero'] };
/** A wrapper that took the attempt and left no result: the attempt is spent. */
const LOST: Rest = { causesBefore: ['worker_lost'] };
const LOST_UNBEGUN: Rest = { ...LOST, mayNotHaveBegun: [1] };

/** Its program was killed by somebody: that is how it ended. A short one might be over by then. */
const KILLED: Rest = { causesBefore: ['exit_nonzero'], mayNotHaveBegun: [1] };
/** Its container was taken away before it was started. */
const NOT_STARTED: Rest = { causesBefore: ['launch_failed'], mayNotHaveBegun: [1], only: 'docker' };
/** Its container was taken away under the program, or before anybody knew of one. */
const TAKEN: Rest = { ...LOST_UNBEGUN, only: 'docker' };
/** The program was over: nobody needs its container any more. */
const NOT_NEEDED: Rest = { only: 'docker' };

/** Between every two steps, in their order. */
export const KILL_POINTS: readonly KillPoint[] = [
  point('server', 'submit/planned-from-slot'),
  point('server', 'version/objects-written'),
  point('server', 'version/row-written'),
  point('server', 'version/tagged'),
  point('server', 'version/index-kept'),
  point('server', 'submit/version-made'),
  point('server', 'submit/planned-from-version', TWO),
  point('server', 'submit/half-stored', TWO),
  point('server', 'submit/stored', TWO),
  point('server', 'supervisor/starting'),
  point('server', 'supervisor/started'),
  point('supervisor', 'takeover/lease-taken'),
  point('supervisor', 'takeover/listening'),
  point('supervisor', 'admit/half-claimed'),
  point('supervisor', 'launch/begun'),
  point('supervisor', 'launch/looked-up'),
  point('supervisor', 'prepare/checked-out'),
  point('supervisor', 'prepare/inputs-found'),
  point('supervisor', 'prepare/folders-made'),
  point('supervisor', 'build/announced'),
  point('supervisor', 'build/done'),
  point('supervisor', 'launch/announced'),
  point('supervisor', 'launch/container-created', { only: 'docker' }),
  point('supervisor', 'launch/folder-prepared'),
  point('supervisor', 'launch/spec-written'),
  point('supervisor', 'launch/wrapper-started'),
  point('supervisor', 'launch/acted'),
  point('supervisor', 'launch/acted takeover/found'),
  point('supervisor', 'launch/noted'),
  point('run wrapper', 'wrapper/request-read'),
  point('run wrapper', 'wrapper/locked'),
  point('run wrapper', 'wrapper/spent', LOST_UNBEGUN),
  point('run wrapper', 'wrapper/taken', LOST_UNBEGUN),
  point('run wrapper', 'wrapper/answered', LOST_UNBEGUN),
  point('run wrapper', 'wrapper/program-wanted', LOST_UNBEGUN),
  point('run wrapper', 'container/attached', { ...LOST_UNBEGUN, only: 'docker' }),
  point('run wrapper', 'container/started', { ...LOST_UNBEGUN, only: 'docker' }),
  point('run wrapper', 'container/secrets-handed', { ...LOST_UNBEGUN, only: 'docker' }),
  point('run wrapper', 'wrapper/programs-started', LOST_UNBEGUN),
  point('run wrapper', 'wrapper/start-noted', LOST_UNBEGUN),
  point('supervisor', 'observe/noted', { scenario: 'long' }),
  point('supervisor', 'stop/request-written', CANCEL),
  point('supervisor', 'stop/asked', CANCEL),
  point('supervisor', 'stop/noted', CANCEL),
  point('supervisor', 'launch/announced cancel/stopped-by-name', EARLY),
  point('supervisor', 'launch/announced cancel/released-by-name', EARLY),
  point('run wrapper', 'wrapper/programs-ended', LOST),
  point('run wrapper', 'wrapper/all-ended', LOST),
  point('run wrapper', 'wrapper/drained', LOST),
  point('run wrapper', 'wrapper/log-closed', LOST),
  point('run wrapper', 'wrapper/result-written', LOST),
  point('run wrapper', 'wrapper/result-named'),
  point('supervisor', 'wrapper/programs-started lost/cleaned-up', LOST_UNBEGUN),
  point('supervisor', 'finish/result-noted', TWO),
  point('supervisor', 'finish/cleaned-up'),
  point('supervisor', 'metrics/batch-taken-in'),
  point('supervisor', 'finish/metrics-in'),
  point('supervisor', 'finish/output-stored', TWO),
  point('supervisor', 'finish/judged', TWO),
  point('supervisor', 'end/half-written', TWO),
  point('supervisor', 'restart/half-written', CRASH),
  point('supervisor', 'settle/half-settled', TWO),
  point('supervisor', 'finish/ended', TWO),
  point('supervisor', 'finish/ended', CRASH),
  point('supervisor', 'finish/released', TWO),
  point('supervisor', 'finish/ended release/cleaned-up'),
  point('supervisor', 'idle/socket-closed', { slow: true }),
  point('stage', 'wrapper/programs-started', { ...KILLED, scenario: 'long' }),
  point('stage', 'wrapper/start-noted', { ...KILLED, scenario: 'long' }),
  point('container', 'wrapper/request-read', NOT_STARTED),
  point('container', 'wrapper/taken', NOT_STARTED),
  point('container', 'wrapper/program-wanted', NOT_STARTED),
  point('container', 'container/attached', NOT_STARTED),
  point('container', 'container/started', TAKEN),
  point('container', 'container/secrets-handed', TAKEN),
  point('container', 'wrapper/start-noted', { ...TAKEN, scenario: 'long' }),
  point('container', 'wrapper/programs-ended', NOT_NEEDED),
  point('container', 'wrapper/drained', NOT_NEEDED),
  point('container', 'wrapper/result-written', NOT_NEEDED),
];

/** What a trial is called. */
export function nameOf({ at, scenario, who }: KillPoint): string {
  const victim = who === 'stage' || who === 'container' ? `, ${who}` : '';
  return `${at.at(-1)}${scenario === 'one' ? '' : ` (${scenario})`}${victim}`;
}
