import { systemClock } from '../../../src/core/clock.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import type { AttemptKey } from '../../../src/store/attempts.ts';
import { until } from '../../integration/until.ts';
import { type EngineStarts, hearStarts } from '../kit/engine-starts.ts';
import { type Backend, type FaultProject, Refused, type Server } from '../kit/fault-project.ts';
import { createTellingProject, finishAlone, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';
import { attemptsAtWork, keyOf, killPart } from './attempts-at-work.ts';
import { type Blow, dueWithin, gusts, type Victim } from './plan.ts';

const STAGES_PER_CALL = 20;
const SLOTS = 4;
/** What is left to the calm after a storm. */
const LAST_PART = 1 / 10;
/** More seconds than these a storm does not last: one in which nothing gets done is to end, and to say so. */
const LONGEST = { first: 120, perRun: 6 };
/** Milliseconds that a lull waits for a supervisor on a slow machine. */
const PATIENCE_MS = 30_000;

export type Storm = {
  backend: Backend;
  seed: number;
  /** How many there are to be at least: as long as nobody of a kind was hit, more are asked for. */
  runs: number;
  victims: readonly [Victim, ...Victim[]];
  maxRestarts: number;
  /** Seconds that each program takes at least: there must be somebody to hit. */
  workSeconds: number;
};

/** What a storm did, and the project it went over, in which everything has ended. */
export type Aftermath = {
  project: FaultProject;
  /** How many runs were asked for. */
  runs: number;
  /** Ids of the pipeline runs by batch. */
  calls: ReadonlyMap<number, string>;
  /** Kills that hit somebody. */
  kills: Readonly<Record<Victim, number>>;
  /** Attempts (`run/attempt`) of which something was killed, with what. */
  hit: ReadonlyMap<string, ReadonlySet<Victim>>;
  /** For how long it blew, how many blows of the plan were due in that time, and how many runs had not ended then. */
  blew: { seconds: number; due: number; open: number };
  slots: number;
  /** What the container engine started meanwhile, by its own account. */
  started: readonly AttemptKey[] | undefined;
};

/** How many of so many runs may be open when the blows end. */
export function lastPart(runs: number): number {
  return Math.floor(runs * LAST_PART);
}

/** Seconds that a storm blows at most. */
export function longestStorm(runs: number): number {
  return LONGEST.first + LONGEST.perRun * runs;
}

/**
 * Many short runs; until nearly all have ended somebody is killed every few hundred milliseconds, and a client comes back
 * or does not. In the end there is no client, and a fresh program finishes what is left.
 */
export async function storm(of: Storm): Promise<Aftermath> {
  const stages = Array.from({ length: Math.min(of.runs, STAGES_PER_CALL) }, (_, n) => `s${n + 1}`);
  const { project, server } = await createTellingProject({ backend: of.backend, stages, slots: SLOTS });
  let engine: EngineStarts | undefined;
  try {
    await server.close();
    engine = await hearStarts(project, of.backend);
    const over = await stormOver(project, { ...of, stages });
    return { ...over, started: engine?.heard() };
  } catch (error) {
    await project.dispose();
    throw error;
  } finally {
    engine?.close();
  }
}

/** Whom it was to hit and has not. */
export function notHit({ victims }: Storm, kills: Aftermath['kills']): Victim[] {
  return [...new Set(victims)].filter((victim) => kills[victim] === 0);
}

type Staged = Storm & { stages: string[] };

async function stormOver(project: FaultProject, of: Staged): Promise<Omit<Aftermath, 'started'>> {
  const client = createClient(project, of);
  const kills = { server: 0, supervisor: 0, 'run wrapper': 0, stage: 0, container: 0 };
  const hit = new Map<string, Set<Victim>>();
  client.comeBack();
  await until(client.isThere, 'the first server', 60);
  const began = systemClock.monotonic();
  const blew = { seconds: 0, due: 0, open: of.runs };
  const isLong = (): boolean => blew.seconds > longestStorm(of.runs);
  for (const blow of gusts(of.seed, of.victims)) {
    await (blow.lull
      ? lull(project, { ms: blow.pauseMs, runs: client.runs() })
      : systemClock.sleep(blow.pauseMs));
    // Where nobody is there of whom it is for, it is for those of whom none was hit yet.
    for (const victim of [blow.victim, ...notHit(of, kills)]) {
      const key = await strike(project, { blow: { ...blow, victim }, client, hit });
      if (key === undefined) continue;
      kills[victim] += 1;
      if (key !== 'program') hit.set(keyOf(key), (hit.get(keyOf(key)) ?? new Set()).add(victim));
      break;
    }
    if (blow.comesBack) client.comeBack();
    blew.seconds = (systemClock.monotonic() - began) / 1000;
    blew.open = client.runs() - endedRuns(project);
    const isNearlyOver = client.isDone() && blew.open <= lastPart(client.runs());
    if (isNearlyOver && notHit(of, kills).length > 0 && !isLong()) client.askForMore();
    // The latter of one in which nothing gets done; its judge says so.
    else if (isNearlyOver || isLong()) break;
  }
  blew.due = dueWithin(gusts(of.seed, of.victims), blew.seconds * 1000);
  // The last words of the client, if the storm left it no time for them.
  const isDone = (): boolean => {
    // A call that may be repeated was refused: the engine is slow to answer, say.
    client.comeBack();
    return client.isDone();
  };
  await until(isDone, 'the submission of all runs', 60);
  await client.goForGood();
  await project.endPrograms('SIGKILL');
  await finishAlone(project);
  return { project, runs: client.runs(), calls: client.calls(), kills, hit, blew, slots: SLOTS };
}

/** Until a supervisor has been there for so long, or there is nothing left for one to do. */
async function lull(project: FaultProject, of: { ms: number; runs: number }): Promise<void> {
  const began = systemClock.monotonic();
  let holder: { pid: number | undefined; since: number } = { pid: undefined, since: began };
  for (;;) {
    const now = systemClock.monotonic();
    const pid = project.leaseHolder();
    if (pid !== holder.pid) holder = { pid, since: now };
    const limit = pid === undefined ? began + PATIENCE_MS : holder.since + of.ms;
    if (now >= limit || endedRuns(project) === of.runs) return;
    await systemClock.sleep(50);
  }
}

function endedRuns({ db }: FaultProject): number {
  const sql = 'SELECT count(*) AS n FROM stage_runs WHERE ended_at IS NOT NULL';
  return db.prepare<{ n: number }>(sql).get()?.n ?? 0;
}

/** Of a process of Goldfish, or of an attempt; undefined where nobody was there to be hit. */
async function strike(
  project: FaultProject,
  { blow, client, hit }: { blow: Blow; client: StormClient; hit: Aftermath['hit'] },
): Promise<AttemptKey | 'program' | undefined> {
  if (blow.victim === 'server') return client.killServer() ? 'program' : undefined;
  if (blow.victim === 'supervisor') {
    const pid = project.leaseHolder();
    if (pid === undefined) return undefined;
    process.kill(pid, 'SIGKILL');
    return 'program';
  }
  // What was killed has not told that it is done, and never will.
  const atWork = attemptsAtWork(project).filter((attempt) => !hit.has(keyOf(attempt)));
  const key = atWork[Math.floor(blow.which * atWork.length)];
  return key !== undefined && (await killPart(project, key, blow.victim)) ? key : undefined;
}

type StormClient = {
  /** Starts a server where there is none, and goes on where it was. */
  comeBack(): void;
  isThere(): boolean;
  killServer(): boolean;
  /** Every call was answered. */
  isDone(): boolean;
  /** Another batch, as large as the first. */
  askForMore(): void;
  /** How many it asks for. */
  runs(): number;
  calls(): ReadonlyMap<number, string>;
  goForGood(): Promise<void>;
};

/** An agent: sends its calls, again where the answer was lost, and then waits, again and again. */
function createClient(project: FaultProject, of: Staged): StormClient {
  const perBatch = of.stages.length;
  /** How many runs each of its calls asks for. */
  const batches = Array.from({ length: Math.ceil(of.runs / perBatch) }, (_, n) =>
    Math.min(perBatch, of.runs - n * perBatch),
  );
  const answered = new Map<number, string>();
  let server: Server | undefined;
  let life: Promise<void> | undefined;
  let gone = false;
  const refusals: unknown[] = [];

  const live = async (): Promise<void> => {
    server = await project.server();
    while (!gone) {
      const size = batches[answered.size];
      if (size === undefined) {
        await server.call('wait', { targets: [...answered.values()], timeout_seconds: 1 });
        continue;
      }
      const batch = answered.size + 1;
      const answer = await server.call('run', callOf(batch, size, of, ledgerOf(project, of.backend)));
      answered.set(batch, String(answer['pipeline_run_id']));
    }
  };
  return {
    comeBack: () => {
      if (gone || life !== undefined) return;
      life = live()
        .catch((error: unknown) => {
          if (error instanceof Refused && !error.retryable) refusals.push(error);
        })
        .finally(() => {
          server = undefined;
          life = undefined;
        });
    },
    isThere: () => server !== undefined,
    killServer: () => {
      if (server === undefined) return false;
      try {
        return process.kill(server.pid, 'SIGKILL');
      } catch {
        return false;
      }
    },
    isDone: () => {
      if (refusals.length > 0) throw refusals[0];
      return answered.size === batches.length;
    },
    askForMore: () => {
      batches.push(perBatch);
    },
    runs: () => batches.reduce((sum, size) => sum + size, 0),
    calls: () => answered,
    goForGood: async () => {
      gone = true;
      const last = server;
      if (last !== undefined) process.kill(last.pid, 'SIGKILL');
      await life;
      await last?.close();
    },
  };
}

/** The programs of a call differ in how long they take, by up to a second. */
function callOf(
  batch: number,
  size: number,
  { stages, maxRestarts, workSeconds }: Staged,
  ledger: JsonObject,
): JsonObject {
  const wanted = stages.slice(0, size);
  const config = (n: number): JsonObject => ({
    ...ledger,
    batch,
    seconds: ((batch * 7 + n * 3) % 11) / 10 + workSeconds,
  });
  return {
    workspace: WORKSPACE,
    reason: `Batch ${batch} of a storm of the fault suite`,
    stages: wanted,
    config_override: Object.fromEntries(wanted.map((stage, n) => [stage, config(n)])),
    max_restarts: maxRestarts,
  };
}
