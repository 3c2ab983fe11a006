import { z } from 'zod';
import { formatVersion } from '../core/names.ts';
import { defineTool } from './define-tool.ts';
import { answer, reference } from './fields.ts';
import { lines } from './text.ts';

const value = z.union([z.number(), z.string()]).nullable();

export const compare = defineTool({
  name: 'compare',
  title: 'Compare runs',
  description:
    'What differs between 2 to 20 runs or pipeline runs: config values and the last value of each metric, per stage, in the order of refs.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    refs: z.array(reference).min(2).max(20).describe('Runs or pipeline runs'),
  }),
  output: answer({
    refs: z.array(
      z.object({
        id: z.string(),
        version: z.string(),
        state: z.string(),
        stages: z.array(
          z.object({ stage: z.string(), run_id: z.string(), state: z.string(), cached: z.boolean() }),
        ),
      }),
    ),
    config: z.array(z.object({ name: z.string(), values: z.array(z.unknown()) })),
    metrics: z.array(
      z.object({
        name: z.string(),
        values: z.array(value),
        change: z.number().nullable().describe('Last minus first'),
      }),
    ),
    same_metrics: z.array(z.string()),
  }),
  handler: (ctx, input) => {
    const comparison = ctx.runs.compare(input.refs);
    return {
      refs: comparison.refs.map((ref) => ({
        id: ref.id,
        version: `${ref.workspace}@${formatVersion(ref.version)}`,
        state: ref.state,
        stages: ref.stages.map(({ runId: run_id, ...stage }) => ({ run_id, ...stage })),
      })),
      config: comparison.config,
      metrics: comparison.metrics,
      same_metrics: comparison.sameMetrics,
    };
  },
  render: (output, kit) => {
    const refs = output.refs ?? [];
    const head = refs.map((ref) => ref.id);
    const cell = (item: unknown): string => (typeof item === 'string' ? item : (JSON.stringify(item) ?? ''));
    return lines(
      refs.map((ref) => `${ref.id} (${ref.version}, ${ref.state})`).join(' against '),
      (output.config ?? []).length === 0
        ? 'The configs are the same.'
        : kit.table(
            (output.config ?? []).map((row) => [row.name, ...row.values.map(cell)]),
            ['config', ...head],
          ),
      (output.metrics ?? []).length === 0
        ? 'No metric differs.'
        : kit.table(
            (output.metrics ?? []).map((row) => [row.name, ...row.values.map(cell), cell(row.change)]),
            ['metric', ...head, 'change'],
          ),
      (output.same_metrics ?? []).length > 0 && `same: ${output.same_metrics?.join(', ')}`,
    );
  },
});
