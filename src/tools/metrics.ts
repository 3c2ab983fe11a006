import { z } from 'zod';
import { DEFAULT_RESULT_TOKENS, MAX_RESULT_TOKENS } from './budget.ts';
import { defineTool } from './define-tool.ts';
import { answer, runId, text } from './fields.ts';
import { metricShape, showMetric, toMetrics } from './run-rows.ts';
import { estimateTokens } from './tokens.ts';

const MAX_POINTS = 200;
const MIN_POINTS = 4;
/** Metrics of one run shown where they were not asked for by name. */
const MAX_NAMES = 30;

const input = z.strictObject({
  run_ids: z.array(runId).min(1).max(20).describe('stage-…'),
  names: z.array(text(200).min(1)).min(1).max(50).optional().describe('Default: all'),
  max_points: z.int().min(MIN_POINTS).max(2_000).optional().describe('Per series'),
  from_step: z.number().optional().describe('Only from this step on'),
});

/** No tuple: clients read the two dialects of JSON Schema, and each refuses what the other calls one. */
const point = z.array(z.union([z.number(), z.string()])).length(2);

const output = answer({
  series: z
    .record(z.string(), z.record(z.string(), z.array(point)))
    .describe('{run_id: {name: [[step, value]]}}; thinned out keeping the extremes'),
  summary: z.record(z.string(), z.record(z.string(), metricShape)),
  names_omitted: z.int().describe('Metrics left out: ask for them by name'),
});

export const metrics = defineTool({
  name: 'metrics',
  title: 'Read metrics',
  description:
    'Series and summaries of the metrics that runs logged, thinned out for reading so that highs and lows stay.',
  toolset: 'all',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input,
  output,
  handler: (ctx, args) => {
    const read = (maxPoints: number): z.input<typeof output> => {
      const all = ctx.runs.metrics({
        runIds: args.run_ids,
        maxPoints,
        ...(args.names ? { names: args.names } : {}),
        ...(args.from_step === undefined ? {} : { fromStep: args.from_step }),
      });
      const found = all.map((run) => ({
        ...run,
        series: args.names ? run.series : run.series.slice(0, MAX_NAMES),
        summary: args.names ? run.summary : run.summary.slice(0, MAX_NAMES),
      }));
      const omitted = all.reduce(
        (sum, run, i) => sum + run.summary.length - (found[i]?.summary.length ?? 0),
        0,
      );
      return {
        ...(omitted > 0 ? { names_omitted: omitted } : {}),
        series: Object.fromEntries(
          found.map((run) => [
            run.runId,
            Object.fromEntries(
              run.series.map(({ name, points }) => [
                name,
                points.map(({ step, seq, value }): [number, number | string] => [
                  step ?? seq,
                  showMetric(value),
                ]),
              ]),
            ),
          ]),
        ),
        summary: Object.fromEntries(found.map((run) => [run.runId, toMetrics(run.summary)])),
      };
    };
    const budget = args.max_points === undefined ? DEFAULT_RESULT_TOKENS : MAX_RESULT_TOKENS;
    return fitPoints(read, args.max_points ?? MAX_POINTS, budget);
  },
  render: (result, kit) => {
    const rows = Object.entries(result.summary ?? {}).flatMap(([run, byName]) =>
      Object.entries(byName).map(([name, m]) => [run, name, m.last, m.min, m.max, m.count]),
    );
    const more = result.names_omitted ? `\n${result.names_omitted} more metrics: ask for them by name.` : '';
    return rows.length === 0
      ? 'No metrics were logged.'
      : kit.table(rows, ['run', 'metric', 'last', 'min', 'max', 'count']) + more;
  },
});

/** Halves the number of points until the answer fits; the series keep their shape all the way down. */
function fitPoints<T>(read: (points: number) => T, wanted: number, budget: number): T {
  let points = wanted;
  let result = read(points);
  while (points > MIN_POINTS && estimateTokens(JSON.stringify(result)) > budget) {
    points = Math.max(MIN_POINTS, Math.floor(points / 2));
    result = read(points);
  }
  return result;
}
