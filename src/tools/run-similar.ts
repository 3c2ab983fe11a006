import { z } from 'zod';
import { formatVersion } from '../core/names.ts';
import type { SimilarRun } from '../runs/similar.ts';
import { showMetric, stateText } from './run-rows.ts';

/** An earlier pipeline run that differs little from a call: the shape, and how it reads. */
export const similarRow = z.object({
  pipeline_run_id: z.string(),
  version: z.string(),
  state: z.string(),
  cause: z.string().nullable(),
  differs: z.array(z.string()).describe('From it to this call; empty: in nothing'),
  metric: z.object({ name: z.string(), value: z.union([z.number(), z.string()]) }).nullable(),
});
type Row = z.infer<typeof similarRow>;

export function toSimilarRow({ pipelineRunId, version, metric, ...similar }: SimilarRun): Row {
  return {
    pipeline_run_id: pipelineRunId,
    version: formatVersion(version),
    ...similar,
    metric: metric && { name: metric.name, value: showMetric(metric.last) },
  };
}

/** `similar: prun-… of v2 failed (oom); differs in train: config (lr: 0.1 → 0.2)`. */
export function similarText(row: Row): string {
  const differs = row.differs.length === 0 ? 'was given the same' : `differs in ${row.differs.join('; ')}`;
  const metric = row.metric ? `, ${row.metric.name} ${row.metric.value}` : '';
  return `similar: ${row.pipeline_run_id} of ${row.version} is ${stateText(row)}${metric}; it ${differs}`;
}
