import type { Worker } from '../core/rows.ts';
import type { WorkerEnd, WorkerEventName } from '../core/worker-lifecycle.ts';
import type { WorkerSighting } from '../store/worker-changes.ts';
import type { Letter } from './documents.ts';
import { keeps, type PoolPolicy } from './policy.ts';
import type { Ages, Sight } from './worker-watch.ts';

/** What one look showed of a worker, and what was known of it. */
export type Look = Sight & {
  ages: Ages;
  /** The last letter there was, `news` included. */
  letter: Letter | undefined;
  /** Kept idle machines beyond what the pool may have. */
  surplus: boolean;
  policy: PoolPolicy;
};

export type Judgement = {
  sighting: WorkerSighting;
  event?: WorkerEventName;
  reason?: WorkerEnd;
  /** The machine was seen to have begun its job. */
  claimed?: true;
  /** The machine was kept from ever beginning its job. */
  calledOff?: true;
  /** Its job may not have begun: whether it still can has to be settled before anything of this is done. */
  settle?: true;
};

type Rule = (look: Look) => Omit<Judgement, 'sighting'> | undefined;

/**
 * What a look means for a worker: at most one event, by the first rule that has something to say. Pure; each rule is a
 * sentence of the contract. The order matters: what is off is off whatever its last letter says, and an end that a letter
 * tells comes before the silence that follows it.
 */
export function judgeWorker(look: Look): Judgement {
  const sighting = sightingOf(look);
  for (const rule of RULES) {
    const judged = rule(look);
    if (judged !== undefined) return { sighting, ...judged };
  }
  return { sighting };
}

/** A machine that is off is lost, and so is one on its way out without our asking; but its run may still come to an end. */
const isOff: Rule = (look) => {
  const { worker, machine } = look;
  if (worker.state === 'deleting' || typeof machine === 'string') return undefined;
  const isGoing = machine.power === 'going' && worker.lease === null;
  if (machine.power !== 'off' && !isGoing) return undefined;
  return lose(worker, 'delete', leftBecause(look) ?? 'stopped');
};

/** Absent often and long enough, and not merely too new to be shown. */
const isGone: Rule = (look) => {
  const { worker, machine, ages, policy } = look;
  if (machine !== 'absent') return undefined;
  if (worker.placedAt === null) return worker.state === 'deleting' ? { event: 'vanish' } : undefined;
  if (worker.runningAt === null && ages.place < policy.visibilitySeconds) return undefined;
  if (worker.absentCount + 1 < policy.absences || ages.absent < policy.absentSeconds) return undefined;
  if (worker.state === 'deleting') return { event: 'vanish' };
  return lose(worker, 'vanish', leftBecause(look) ?? 'vanished');
};

const isBeingDeleted: Rule = ({ worker }) => (worker.state === 'deleting' ? {} : undefined);

/** The result document is there. */
const hasEnded: Rule = ({ worker, letter }) => {
  const { lease } = worker;
  if (lease === null || letter?.number !== lease.number || letter.job !== 'ended') return undefined;
  return { event: 'drain', claimed: true };
};

/** The controller called it off and died before it could write so. */
const wasCalledOff: Rule = ({ worker, letter }) => {
  const { lease } = worker;
  if (lease === null || lease.claimedAt !== null) return undefined;
  if (letter?.number !== lease.number || letter.job !== 'called_off') return undefined;
  return worker.state === 'busy' ? { event: 'drain', calledOff: true } : { calledOff: true };
};

const hasBegun: Rule = ({ worker, letter }) => {
  const { lease } = worker;
  if (lease === null || lease.claimedAt !== null) return undefined;
  if (letter?.number !== lease.number || letter.job !== 'claimed') return undefined;
  return worker.state === 'launching' ? { event: 'start', claimed: true } : { claimed: true };
};

/** It leaves by its own rules. Its job, if it has one, is over or never began. */
const leaves: Rule = (look) => {
  const reason = leftBecause(look);
  return reason === undefined ? undefined : lose(look.worker, 'delete', reason);
};

const isSingleUse: Rule = ({ worker }) =>
  worker.state === 'draining' && !worker.pooled ? { event: 'delete', reason: 'single_use' } : undefined;

const isNotKept: Rule = ({ worker, policy }) => {
  if (worker.state !== 'draining' || keeps(policy, worker.profile)) return undefined;
  return { event: 'delete', reason: policy.idleTimeoutSeconds === 0 ? 'idle_timeout' : 'pool_smaller' };
};

/** Nothing of any job is left on it. */
const rests: Rule = ({ worker, letter }) => {
  if (worker.lease !== null || (worker.state !== 'draining' && worker.state !== 'launching'))
    return undefined;
  return letter?.phase === 'idle' && letter.number >= worker.jobNumber ? { event: 'rest' } : undefined;
};

const isIdleTooLong: Rule = ({ worker, ages, policy, surplus }) => {
  if (worker.state !== 'idle_ready') return undefined;
  if (ages.state >= policy.idleTimeoutSeconds) return { event: 'delete', reason: 'idle_timeout' };
  if (!keeps(policy, worker.profile) || surplus) return { event: 'delete', reason: 'pool_smaller' };
  return undefined;
};

/** No letter at all since its row was written. */
const neverReported: Rule = ({ worker, news, ages, policy }) => {
  if (worker.state !== 'launching' || worker.letterAt !== null || news !== undefined) return undefined;
  return ages.state < policy.launchSeconds ? undefined : lose(worker, 'delete', 'never_reported');
};

/** A machine that boots is first heard of long after its job was named; from then on it has as long as one that rested. */
const doesNotPickUp: Rule = ({ worker, letter, ages, policy }) => {
  const { lease } = worker;
  if (lease === null || lease.claimedAt !== null) return undefined;
  if (letter !== undefined && letter.number >= lease.number && letter.job !== 'none') return undefined;
  return ages.waiting < policy.pickUpSeconds ? undefined : lose(worker, 'delete', 'not_picked_up');
};

/** Also one that came up for a job that was called off, and does not come to rest. */
const doesNotDrain: Rule = ({ worker, ages, policy }) => {
  const { state, lease, letterAt } = worker;
  const isUp = state === 'launching' && lease === null && letterAt !== null;
  if ((state !== 'draining' && !isUp) || ages.state < policy.drainSeconds) return undefined;
  return { event: 'delete', reason: 'not_drained' };
};

/** It runs and says nothing. Judged by when letters were noticed here, whatever time stands in them. */
const isSilent: Rule = ({ worker, machine, news, ages, policy }) => {
  const isUp = worker.letterAt !== null || worker.lease?.claimedAt != null;
  if (!isUp || news !== undefined || typeof machine === 'string') return undefined;
  return ages.silent < policy.watchdogSeconds ? undefined : lose(worker, 'delete', 'silent');
};

const RULES: readonly Rule[] = [
  isOff,
  isGone,
  isBeingDeleted,
  hasEnded,
  wasCalledOff,
  leaves,
  isSingleUse,
  isNotKept,
  rests,
  isIdleTooLong,
  neverReported,
  doesNotPickUp,
  doesNotDrain,
  isSilent,
  hasBegun,
];

/** An unclaimed job may be given to another machine, once it is certain that this one can never begin it. */
function lose(worker: Worker, event: 'delete' | 'vanish', reason: WorkerEnd): Omit<Judgement, 'sighting'> {
  const unclaimed = worker.lease !== null && worker.lease.claimedAt === null;
  return unclaimed ? { event, reason, settle: true } : { event, reason };
}

/** What a machine that leaves says of it. Told to end by its system, it does not know by whom. */
const LEFT: Readonly<Record<NonNullable<Letter['leaves']>, WorkerEnd>> = {
  idle: 'left',
  single_use: 'single_use',
  deadline: 'left',
  preempted: 'preempted',
  asked: 'stopped',
  failed: 'failed',
};

function leftBecause({ letter }: Look): WorkerEnd | undefined {
  return letter?.phase === 'leaving' ? LEFT[letter.leaves ?? 'idle'] : undefined;
}

function sightingOf({ worker, machine, news }: Look): WorkerSighting {
  const sighting: WorkerSighting = {};
  if (machine === 'absent') sighting.absent = true;
  else if (machine !== 'unknown') {
    // What is as it was is not written again.
    if (worker.absentSince !== null) sighting.absent = false;
    if (machine.power === 'on' && worker.runningAt === null) sighting.running = true;
  }
  if (news !== undefined) {
    sighting.letter = { generation: news.generation, content: news.letter };
  }
  return sighting;
}
