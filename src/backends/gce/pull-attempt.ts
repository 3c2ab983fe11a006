import { join } from 'node:path';
import type { AttemptLayout } from '../../core/layout.ts';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';
import { MACHINE_WRAPPER_FILE, machineSign } from './machine-sign.ts';
import { pullCheckpoints } from './pull-checkpoints.ts';
import { pullDocument } from './pull-document.ts';
import { pullLog } from './pull-log.ts';
import { isCanceled, type Pulled, pullResult } from './pull-result.ts';
import { listAll, pullPieces } from './pull-tail.ts';
import type { Room } from './room.ts';

/** What is known of the objects of an attempt; without it everything is looked at again, and nothing is lost. */
export type Known = {
  /** Ids of checkpoints that are none. */
  useless: Set<string>;
  logAfter: string | undefined;
  after: Map<string, string>;
  generations: Map<string, string>;
};

export function nothingKnown(): Known {
  return { useless: new Set(), logAfter: undefined, after: new Map(), generations: new Map() };
}

type Pulling = {
  bucket: ObjectStorage;
  prefix: string;
  folders: AttemptLayout;
  known: Known;
  room: Room;
};

/**
 * Brings here what the machine of an attempt has sent since the last time: log, metrics, signs of life, checkpoints; and, where
 * it has ended, all the rest and the result. May be interrupted anywhere and repeated.
 */
export async function pullAttempt(pulling: Pulling, call: CallOptions): Promise<Pulled> {
  const { bucket, prefix, folders, room } = pulling;
  // Looked for first: what was sent before it is found by what follows.
  const isOver = (await bucket.stat(`${prefix}exit.json`, call)) !== undefined;
  pulling.known.logAfter = await pullLog(bucket, { prefix, folders, after: pulling.known.logAfter }, call);
  // kill point: fetch/log-fetched
  await pullOne(pulling, { key: 'wrapper.json', file: join(folders.dir, MACHINE_WRAPPER_FILE) }, call);
  const { ranks } = await machineSign(folders);
  for (let rank = 0; rank < ranks; rank += 1) await pullControl(pulling, rank, call);
  // kill point: fetch/control-fetched
  const { useless } = pulling.known;
  const waits = await pullCheckpoints(bucket, { prefix, folder: folders.checkpoints, useless, room }, call);
  // With the result everything of the attempt goes from the bucket.
  const isWaitedFor = waits !== undefined && !(await isCanceled(folders));
  if (!isOver || isWaitedFor) return { isHere: false, waits };
  return pullResult(bucket, { prefix, folders, room }, call);
}

async function pullControl(pulling: Pulling, rank: number, call: CallOptions): Promise<void> {
  const { bucket, prefix, folders, known } = pulling;
  const { control, heartbeat } = folders.rank(rank);
  const below = rank === 0 ? 'control/' : `ranks/${rank}/control/`;
  await pullOne(pulling, { key: `${below}heartbeat`, file: heartbeat }, call);
  const under = `${prefix}${below}metrics.jsonl/`;
  const pieces = await listAll(bucket, { prefix: under, after: known.after.get(under) }, call);
  const { last } = await pullPieces(bucket, { pieces, file: join(control, 'metrics.jsonl') }, call);
  if (last !== undefined) known.after.set(under, last);
}

async function pullOne(
  { bucket, prefix, known }: Pulling,
  { key, file }: { key: string; file: string },
  call: CallOptions,
): Promise<void> {
  const before = known.generations.get(key);
  const generation = await pullDocument(bucket, { key: prefix + key, file, known: before }, call);
  if (generation !== undefined) known.generations.set(key, generation);
}
