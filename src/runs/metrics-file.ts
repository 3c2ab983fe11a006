import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import type { MetricPoint } from '../core/rows.ts';
import { parseMetricLine } from './metric-line.ts';

/** Read at most this much at a time: a batch is one transaction. */
const BATCH_BYTES = 1 << 20;
/** What lies beyond is not taken in: ten million lines, or a file that only pretends to be so long. */
const MAX_FILE_BYTES = 1 << 30;
const NEWLINE = 0x0a;
/** What a program can make of its metrics file so that there is nothing to read. */
const NO_FILE = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENXIO', 'EACCES'];

export type MetricsBatch = {
  points: MetricPoint[];
  /** The newest of each that was reported. */
  progress: number | null;
  message: string | null;
  /** Lines that are neither a metric nor progress. */
  ignored: number;
  /** Byte offset after the last line that was read. */
  to: number;
  /** More lines may be waiting. */
  more: boolean;
};

/**
 * Reads whole lines from `from` on. A line without its newline is left for the next time, unless `final`. A file
 * that has become shorter was written anew and is read from its start.
 */
export async function readMetrics(
  file: string,
  from: number,
  options: { now: string; final?: boolean },
): Promise<MetricsBatch> {
  const batch: MetricsBatch = {
    points: [],
    progress: null,
    message: null,
    ignored: 0,
    to: from,
    more: false,
  };
  const chunk = await readChunk(file, from);
  if (!chunk) return batch;
  const { bytes, start, full } = chunk;
  const whole = bytes.lastIndexOf(NEWLINE) + 1;
  const end = (full && whole === 0) || (!full && options.final) ? bytes.length : whole;
  // A line longer than a batch is no metric. Its first part was passed over, its rest is passed over here.
  const first = chunk.insideLine ? bytes.indexOf(NEWLINE) + 1 || end : 0;
  if (full && whole === 0) batch.ignored = chunk.insideLine ? 0 : 1;
  else
    for (const line of bytes.subarray(first, end).toString('utf8').split('\n'))
      addLine(batch, line, options.now);
  return { ...batch, to: start + end, more: full };
}

function addLine(batch: MetricsBatch, line: string, now: string): void {
  if (line.trim() === '') return;
  const { point, progress, message } = parseMetricLine(line, now);
  if (point) batch.points.push(point);
  if (progress !== null) batch.progress = progress;
  if (message !== null) batch.message = message;
  if (!point && progress === null && message === null) batch.ignored += 1;
}

type Chunk = {
  bytes: Buffer;
  /** Byte offset of the first byte. */
  start: number;
  /** The bytes begin in the middle of a line. */
  insideLine: boolean;
  /** As long as a batch may be: more may follow. */
  full: boolean;
};

/** Undefined where there is no regular file: a pipe would never end, a link could lead to what the run must not see. */
async function readChunk(file: string, from: number): Promise<Chunk | undefined> {
  if (!(await isFolder(dirname(file)))) return undefined;
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(file, flags).catch((error: unknown) => {
    if (NO_FILE.includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  });
  try {
    const stat = await handle?.stat();
    if (!handle || !stat?.isFile()) return undefined;
    // Hundreds of files are looked at each second, and most have not grown.
    if (stat.size === from) return undefined;
    const start = stat.size < from ? 0 : from;
    const length = Math.max(0, Math.min(BATCH_BYTES, stat.size - start, MAX_FILE_BYTES - start));
    const bytes = await readBytes(handle, start, length);
    const before = start === 0 ? undefined : (await readBytes(handle, start - 1, 1))[0];
    const insideLine = before !== undefined && before !== NEWLINE;
    return { bytes, start, insideLine, full: length > 0 && bytes.length === BATCH_BYTES };
  } finally {
    await handle?.close();
  }
}

/** Without a sandbox a program can put a link in place of its control folder. */
async function isFolder(path: string): Promise<boolean> {
  return lstat(path).then(
    (stat) => stat.isDirectory(),
    () => false,
  );
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}
