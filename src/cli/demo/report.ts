import type { Json } from '../../core/json.ts';

export type DemoReport = {
  folder: string;
  slot: string;
  versions: string[];
  pipelineRuns: string[];
  runs: {
    runId: string;
    pipelineRunId: string;
    version: string;
    stage: string;
    state: string;
    cause: string;
    /** Content hash by output. */
    outputs: Record<string, string>;
  }[];
  /** Config values and metrics that differ between the two pipeline runs. */
  config: { name: string; values: Json[] }[];
  metrics: { name: string; values: Json[]; change: number | null }[];
};

/** What a person reads at the end of `npm run demo`. */
export function renderReport(report: DemoReport, seconds: number): string {
  const reused = report.runs.filter((run) => run.cause === 'cached').length;
  return [
    '',
    ...columns(
      ['RUN', 'VERSION', 'STAGE', 'STATE', 'CAUSE'],
      report.runs.map((run) => [run.runId, run.version, run.stage, run.state, run.cause]),
    ),
    `${report.runs.length} runs, ${reused} of them reused`,
    '',
    ...columns(
      ['WHAT DIFFERS', report.versions[1] ?? '', report.versions[2] ?? '', 'CHANGE'],
      [
        ...report.config.map((item) => [item.name, ...item.values.map(String), '']),
        ...report.metrics.map((item) => [item.name, ...item.values.map(String), signed(item.change)]),
      ],
    ),
    '',
    'Where everything is',
    `  project               ${report.folder}`,
    `  files to edit         ${report.slot}`,
    '  outputs, by content   .goldfish/objects',
    '  logs and metrics      .goldfish/runs/<run>/<attempt>',
    '  memory                .goldfish/goldfish.db',
    '',
    `Done in ${seconds} s.`,
    '',
  ].join('\n');
}

function signed(change: number | null): string {
  if (change === null) return '';
  return change > 0 ? `+${change}` : `${change}`;
}

function columns(head: string[], rows: string[][]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
