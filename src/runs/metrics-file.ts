import { open } from 'node:fs/promises';
import { errnoOf } from '../core/errors.ts';
import type { MetricPoint } from '../core/rows.ts';

/** Read at most this much at a time: a batch is one transaction. */
const BATCH_BYTES = 1 << 20;
/** A longer line is no metric; it is passed over. */
const MAX_LINE_BYTES = 64 * 1024;
const MAX_NAME_LENGTH = 128;

export type MetricsBatch = {
  points: MetricPoint[];
  /** The newest of each that was reported. */
  progress: number | null;
  message: string | null;
  /** Lines that are neither a metric nor progress. */
  ignored: number;
  /** Byte offset after the last whole line. */
  to: number;
  /** More whole lines may be waiting. */
  more: boolean;
};

/** Reads whole lines from `from` on. A line without its newline is left for the next time, unless `final`. */
export async function readMetrics(
  file: string,
  from: number,
  options: { now: string; final?: boolean },
): Promise<MetricsBatch> {
  const chunk = await readChunk(file, from);
  const end = chunk.lastIndexOf(0x0a) + 1;
  const batch: MetricsBatch = {
    points: [],
    progress: null,
    message: null,
    ignored: 0,
    to: from + end,
    more: false,
  };
  if (end === 0) return settleLongLine(batch, { from, chunk, final: options.final ?? false });
  for (const line of chunk.subarray(0, end).toString('utf8').split('\n')) {
    if (line.trim() !== '') addLine(batch, line, options.now);
  }
  batch.more = chunk.length === BATCH_BYTES;
  return batch;
}

/** No newline in sight: passed over when the chunk is full or nothing more will come. */
function settleLongLine(
  batch: MetricsBatch,
  read: { from: number; chunk: Buffer; final: boolean },
): MetricsBatch {
  const full = read.chunk.length === BATCH_BYTES;
  if (!full && !(read.final && read.chunk.length > 0)) return batch;
  return { ...batch, to: read.from + read.chunk.length, ignored: 1, more: full };
}

async function readChunk(file: string, from: number): Promise<Buffer> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (!handle) return Buffer.alloc(0);
  try {
    const buffer = Buffer.alloc(BATCH_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, BATCH_BYTES, from);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function addLine(batch: MetricsBatch, line: string, now: string): void {
  const entry = line.length <= MAX_LINE_BYTES ? parseObject(line) : undefined;
  if (!entry) {
    batch.ignored += 1;
    return;
  }
  const point = toPoint(entry, now);
  if (point) batch.points.push(point);
  const progress = readProgress(entry);
  if (progress.fraction !== null) batch.progress = progress.fraction;
  if (progress.message !== null) batch.message = progress.message;
  if (!point && progress.fraction === null && progress.message === null) batch.ignored += 1;
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function toPoint(entry: Record<string, unknown>, now: string): MetricPoint | undefined {
  const { name, step, time } = entry;
  const value = readNumber(entry['value']);
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_LENGTH || value === undefined) {
    return undefined;
  }
  const logged = typeof time === 'string' || typeof time === 'number' ? new Date(time) : undefined;
  return {
    name,
    value,
    step: typeof step === 'number' && Number.isFinite(step) ? step : null,
    loggedAt: logged && !Number.isNaN(logged.getTime()) ? logged.toISOString() : now,
  };
}

const WORDS: Record<string, number> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '+inf': Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
};

function readNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return typeof value === 'string' ? WORDS[value.toLowerCase()] : undefined;
}

function readProgress(entry: Record<string, unknown>): { fraction: number | null; message: string | null } {
  const { progress, message } = entry;
  const fraction =
    typeof progress === 'number' && Number.isFinite(progress) ? Math.min(1, Math.max(0, progress)) : null;
  return { fraction, message: typeof message === 'string' ? message.slice(0, 200) : null };
}
