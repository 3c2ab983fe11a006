import { mkdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../core/errors.ts';
import type { AttemptLayout } from '../../core/layout.ts';
import { writeFileAtomic } from '../../os/files.ts';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';
import { listSegments } from '../log-format.ts';
import { readLogTail } from '../log-segments.ts';
import { listAll, pullPieces } from './pull-tail.ts';

/** Of a flood the first segment and the newest seven are kept, as KEPT_SEGMENTS of runtime/wrapper_log.py has it. */
const KEPT_SEGMENTS = 8;
/** The machine counts its log from 0; here lines of the build come before it. */
const BASE_FILE = 'log-base';
const SEGMENT = /^(\d{12,})\.log\/\d{12,}$/;

/** Adds what is new of a machine's log to the attempt's own. Returns the key to go on after. */
export async function pullLog(
  bucket: ObjectStorage,
  { prefix, folders, after }: { prefix: string; folders: AttemptLayout; after: string | undefined },
  call: CallOptions,
): Promise<string | undefined> {
  const under = `${prefix}log/`;
  const found = await listAll(bucket, { prefix: under, after }, call);
  const ours = found.filter(({ key }) => SEGMENT.test(key.slice(under.length)));
  if (ours.length === 0) return after;
  const base = await logBase(folders);
  const segments = Map.groupBy(ours, ({ key }) => Number(SEGMENT.exec(key.slice(under.length))?.[1]));
  const starts = [...segments.keys()];
  let done = after;
  for (const [at, start] of starts.entries()) {
    // What a flood pushes out again need not come first.
    if (at > 0 && at <= starts.length - KEPT_SEGMENTS) continue;
    const pieces = segments.get(start) ?? [];
    const name = `${`${base + start}`.padStart(12, '0')}.log`;
    const { last, size } = await pullPieces(bucket, { pieces, file: join(folders.log, name) }, call);
    done = last ?? done;
    const next = starts[at + 1];
    const isWhole = next === undefined || start + size >= next;
    // The rest of it is still to come, and is looked for behind what came last of it.
    if (last !== pieces.at(-1)?.key || !isWhole) break;
  }
  await dropFlood(folders.log);
  return done;
}

/** Where the machine's log begins in ours: behind what was there when it was first looked for. Decided once. */
async function logBase({ dir, log }: AttemptLayout): Promise<number> {
  const file = join(dir, BASE_FILE);
  try {
    return Number(await readFile(file, 'utf8'));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  await mkdir(log, { recursive: true, mode: 0o700 });
  const { nextOffset } = await readLogTail({ dir: log, lines: 0 });
  const last = (await listSegments(log)).at(-1);
  // Half a line that a death left: no reader has been given it.
  if (last !== undefined) await truncate(last.file, nextOffset - last.start);
  await writeFileAtomic(file, `${nextOffset}`);
  // kill point: fetch/log-based
  return nextOffset;
}

async function dropFlood(log: string): Promise<void> {
  const segments = await listSegments(log);
  // The first of all has the beginning of the build, or of the program.
  const surplus = segments.slice(1, Math.max(1, segments.length - KEPT_SEGMENTS + 1));
  for (const { file } of surplus) await rm(file, { force: true });
}
