import type { StageRun } from '../core/rows.ts';
import { admitRuns } from '../runs/admit.ts';
import type { RunsDeps } from '../runs/deps.ts';
import { cancelUnlaunched, endLate } from '../runs/end-unlaunched.ts';
import { isUnseen } from '../runs/find-started.ts';
import { finishRun } from '../runs/finish.ts';
import { launchRun } from '../runs/launch.ts';
import { createLaunchWatch } from '../runs/launch-watch.ts';
import { endLost, observeRuns } from '../runs/observe.ts';
import { releaseAttempt } from '../runs/release.ts';
import { createAttemptWatch } from '../runs/watch-attempts.ts';
import { getAttempt, unreleasedAttempts } from '../store/attempts.ts';
import { isLeaseLost } from '../store/lease.ts';
import { openStageRuns } from '../store/stage-runs.ts';
import { createTroubles } from './troubles.ts';

/** After a look at what backends hold that failed. */
const TEND_PAUSE_MS = 5_000;

type LoopOptions = { wakeSocket: string | null; signal: AbortSignal; wake: () => void };

/**
 * The supervisor's hands. `tick` looks at every open run once and starts what is due; longer work (launching,
 * finishing) goes on beside it, at most one piece per run. All state is in the store: a new supervisor picks up
 * where any other stopped.
 */
export function createLoop(deps: RunsDeps, options: LoopOptions) {
  const work = new Map<string, Promise<void>>();
  const watch = createAttemptWatch(deps);
  const launchWatch = createLaunchWatch(deps.clock, deps.config.defaults.launchTimeoutSeconds);
  /** Launches under way; a cancel interrupts them, for building alone may take half an hour. */
  const launches = new Map<string, AbortController>();

  const troubles = createTroubles(deps.clock);
  const start = (run: { id: string }, task: () => Promise<void>, signal = options.signal): void => {
    if (work.has(run.id)) return;
    const pause = (error: unknown): Promise<void> => {
      // Where the lease is lost the pause outlasts the renewal that notices it.
      if (!isLeaseLost(error)) {
        deps.log.error({ run: run.id, err: error }, 'work on a run failed and will be tried again');
      }
      const unseen = isUnseen(error);
      if (unseen) launchWatch.restart(run);
      return deps.clock.sleep(troubles.note(run.id, { unseen }), { signal });
    };
    const running = task()
      .then(() => troubles.over(run.id), pause)
      .then(() => {
        work.delete(run.id);
        launches.delete(run.id);
        options.wake();
      });
    work.set(run.id, running);
  };

  const launch = (run: StageRun): void => {
    const stop = new AbortController();
    launches.set(run.id, stop);
    const signal = AbortSignal.any([options.signal, stop.signal]);
    const isPatient = (): boolean => troubles.isPatient(run.id);
    const onWait = (): void => launchWatch.restart(run);
    const { wakeSocket } = options;
    start(run, () => launchRun(deps, run.id, { wakeSocket, signal, isPatient, onWait }), signal);
  };

  let tending: Promise<void> | undefined;
  /** Beside the runs, which must not wait for a service that does not answer. */
  const tend = (): void => {
    tending ??= deps.backends
      .tend({ signal: options.signal })
      .catch((error: unknown) => {
        if (options.signal.aborted || isLeaseLost(error)) return undefined;
        deps.log.error({ err: error }, 'what backends hold could not be looked after');
        return deps.clock.sleep(TEND_PAUSE_MS, { signal: options.signal });
      })
      .finally(() => {
        tending = undefined;
      });
  };

  const tick = async (): Promise<void> => {
    tend();
    admitRuns(deps);
    const open = openStageRuns(deps.db);
    const late = launchWatch.look(open);
    for (const run of open) if (run.cancelCause !== null || late.has(run.id)) launches.get(run.id)?.abort();
    const free = open.filter((run) => run.state !== 'pending' && !work.has(run.id));
    const observed: StageRun[] = [];
    for (const run of free) {
      if (late.has(run.id)) start(run, () => endLate(deps, run));
      else if (isLaunched(deps, run)) observed.push(run);
      else if (run.cancelCause !== null) start(run, () => cancelUnlaunched(deps, run));
      else launch(run);
    }
    const { ended, lost } = await observeRuns(deps, observed, { signal: options.signal, watch });
    for (const one of ended) start(one.run, () => finishRun(deps, one, options.signal));
    for (const one of lost) start(one.run, () => endLost(deps, one, watch));
    for (const attempt of unreleasedAttempts(deps.db)) {
      if (work.has(attempt.runId)) continue;
      // Beside other work on the run: what is left of an attempt keeps nobody from the next one.
      const id = `${attempt.runId}/${attempt.attempt}`;
      start({ id }, () => releaseAttempt(deps, attempt, options.signal));
    }
  };

  return {
    tick,
    /** Runs that something is being done for right now. */
    busy: (): number => work.size,
    settled: async (): Promise<void> => {
      await Promise.allSettled([...work.values(), tending]);
    },
  };
}

function isLaunched(deps: RunsDeps, run: StageRun): boolean {
  if (run.state === 'running' || run.state === 'finishing') return true;
  if (run.state !== 'launching') return false;
  return getAttempt(deps.db, { runId: run.id, attempt: run.attempt })?.handle != null;
}
