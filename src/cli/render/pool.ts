import type { Cli } from '../cli.ts';
import { formatDuration } from './durations.ts';
import { isTrue, type Row, rowAt, rowsAt, textAt, textsAt } from './fields.ts';
import type { StyleName } from './style.ts';
import { type Column, renderTable } from './table.ts';

const STATES: Record<string, StyleName> = {
  launching: 'cyan',
  busy: 'cyan',
  idle_ready: 'green',
  deleting: 'yellow',
};

const COLUMNS: readonly Column[] = [
  { title: 'worker' },
  { title: 'state', style: (state) => STATES[state] ?? 'dim' },
  { title: 'profile', shrinks: true },
  { title: 'zone', shrinks: true },
  { title: 'model' },
  { title: 'run' },
  { title: 'age', align: 'right' },
  { title: 'cost', align: 'right' },
  { title: 'heard of', align: 'right' },
  { title: 'images', align: 'right' },
  { title: 'driver' },
];

/** The answer of `warm_pool_status`, in lines. */
export function poolText(answer: Row, look: Pick<Cli, 'style' | 'streams'>): string {
  const limits = rowAt(answer, 'limits');
  const rows = rowsAt(answer, 'workers');
  const omitted = textAt(answer, 'workers_omitted');
  const cells = rows.map((row) => [
    textAt(row, 'worker'),
    textAt(row, 'state'),
    textAt(row, 'profile'),
    textAt(row, 'zone'),
    textAt(row, 'model'),
    textAt(row, 'run_id'),
    secondsAt(row, 'age_seconds'),
    textAt(row, 'cost'),
    secondsAt(row, 'heard_seconds_ago'),
    textAt(row, 'images'),
    textAt(row, 'driver'),
  ]);
  const table = renderTable(COLUMNS, cells, { style: look.style, width: look.streams.out.columns() });
  return [
    limits && isTrue(answer, 'enabled') ? limitsText(limits) : textAt(answer, 'why'),
    rows.length === 0 ? 'There is no machine now.' : table,
    omitted === '' ? '' : `${omitted} more are not shown; --json has the counts.`,
    startsText(answer),
    rentedText(answer),
    ...rowsAt(answer, 'errors').map((row) => textAt(row, 'message')),
  ]
    .filter((line) => line !== '')
    .join('\n');
}

function limitsText(limits: Row): string {
  const of = textsAt(limits, 'profiles');
  const what = of.length === 0 ? '' : ` of ${of.join(', ')}`;
  const idle = secondsAt(limits, 'idle_timeout_seconds');
  return `Kept for the next run: up to ${textAt(limits, 'max_instances')}${what}, each for ${idle} without work.`;
}

function startsText(answer: Row): string {
  const starts = textAt(answer, 'starts');
  if (starts === '' || starts === '0') return '';
  const rate = Math.round(Number(textAt(answer, 'hit_rate')) * 100);
  const saved = [secondsAt(answer, 'seconds_saved'), textAt(answer, 'money_saved')].filter(
    (text) => text !== '',
  );
  const about = saved.length === 0 ? '' : `; saved about ${saved.join(' and ')}`;
  return `Warm starts: ${textAt(answer, 'warm_starts')} of ${starts} (${rate} %)${about}.`;
}

function rentedText(answer: Row): string {
  const machines = textAt(answer, 'machines');
  if (machines === '' || machines === '0') return '';
  const cost = textAt(answer, 'cost');
  return `Rented in all: ${machines}${cost === '' ? '' : `, for about ${cost}`}.`;
}

function secondsAt(row: Row, key: string): string {
  const seconds = textAt(row, key);
  return seconds === '' ? '' : formatDuration(Number(seconds));
}
