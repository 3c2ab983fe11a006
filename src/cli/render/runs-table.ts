import type { Cli } from '../cli.ts';
import { formatAge, formatTook } from './durations.ts';
import { type Row, rowAt, stateAt, textAt } from './fields.ts';
import { stateStyle } from './style.ts';
import { type Column, renderTable } from './table.ts';

const COLUMNS: readonly Column[] = [
  { title: 'run' },
  { title: 'stage', shrinks: true },
  { title: 'state', style: stateStyle },
  { title: 'version', shrinks: true },
  { title: 'took', align: 'right' },
  { title: 'age', align: 'right' },
  { title: 'pipeline run', style: () => 'dim' },
  { title: 'metric', shrinks: true },
];

/** Rows of `list_runs`. */
export function runsTable(rows: readonly Row[], cli: Pick<Cli, 'style' | 'streams' | 'clock'>): string {
  const now = cli.clock.now();
  const cells = rows.map((row) => {
    const metric = rowAt(row, 'metric');
    return [
      textAt(row, 'run_id'),
      textAt(row, 'stage'),
      stateAt(row),
      `${textAt(row, 'workspace')}@${textAt(row, 'version')}`,
      formatTook(textAt(row, 'started_at'), textAt(row, 'ended_at'), now),
      formatAge(textAt(row, 'created_at'), now),
      textAt(row, 'pipeline_run_id'),
      metric ? `${textAt(metric, 'name')} ${textAt(metric, 'value')}` : '',
    ];
  });
  return renderTable(COLUMNS, cells, { style: cli.style, width: cli.streams.out.columns() });
}
