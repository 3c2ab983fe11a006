import type { MetricPoint } from '../core/rows.ts';

/** A longer line is no metric. */
const MAX_LINE = 64 * 1024;
const MAX_NAME = 128;
/** Numbers of seconds since the epoch are below, of milliseconds above. */
const SECONDS_BELOW = 1e11;

export type MetricLine = { point: MetricPoint | undefined; progress: number | null; message: string | null };

/**
 * One line of `metrics.jsonl`: a metric, progress, or neither. Lenient where programs of several languages differ:
 * numbers as text, NaN and infinities by name or as the bare words that Python's `json` writes.
 * `now` (ISO) stands for a time that is missing or senseless.
 */
export function parseMetricLine(line: string, now: string): MetricLine {
  const entry =
    line.length <= MAX_LINE ? (parseObject(line) ?? parseObject(quoteBareWords(line))) : undefined;
  if (!entry) return { point: undefined, progress: null, message: null };
  return { point: toPoint(entry, now), ...readProgress(entry) };
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Texts are passed over: a message may speak of NaN. One that does not end reaches to the end of the line. */
function quoteBareWords(line: string): string {
  return line.replace(/"(?:[^"\\]|\\.)*"?|[+-]?Infinity|NaN/gs, (part) =>
    part.startsWith('"') ? part : `"${part}"`,
  );
}

function toPoint(entry: Record<string, unknown>, now: string): MetricPoint | undefined {
  const { name, step, time } = entry;
  const value = readNumber(entry['value']);
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME || value === undefined)
    return undefined;
  return {
    // Two names of different broken text would be one name in the store.
    name: name.toWellFormed(),
    value,
    step: typeof step === 'number' && Number.isFinite(step) ? step : null,
    loggedAt: readTime(time) ?? now,
  };
}

function readTime(time: unknown): string | undefined {
  if (typeof time !== 'string' && typeof time !== 'number') return undefined;
  const date = new Date(typeof time === 'number' && Math.abs(time) < SECONDS_BELOW ? time * 1000 : time);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

const WORDS = new Map([
  ['nan', Number.NaN],
  ['inf', Number.POSITIVE_INFINITY],
  ['infinity', Number.POSITIVE_INFINITY],
  ['+inf', Number.POSITIVE_INFINITY],
  ['+infinity', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
  ['-infinity', Number.NEGATIVE_INFINITY],
]);
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function readNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  return WORDS.get(text.toLowerCase()) ?? (DECIMAL.test(text) ? Number(text) : undefined);
}

function readProgress(entry: Record<string, unknown>): { progress: number | null; message: string | null } {
  const { progress, message } = entry;
  const fraction =
    typeof progress === 'number' && Number.isFinite(progress) ? Math.min(1, Math.max(0, progress)) : null;
  return {
    progress: fraction,
    message: typeof message === 'string' ? message.toWellFormed() : null,
  };
}
