import { z } from 'zod';
import { findStageRun } from '../runs/find.ts';
import { defineTool } from './define-tool.ts';
import { answer, newName, nextCall, reason, runId, text } from './fields.ts';
import { renderRegistered, sourceRow, toSourceRow } from './sources.ts';
import { callText, lines } from './text.ts';

export const promoteArtifact = defineTool({
  name: 'promote_artifact',
  title: 'Make an output a source',
  description:
    'Registers an output of a completed run as a source, so that any pipeline can read it as a dataset. Nothing is copied; where it came from stays known. The same name again makes the next version.',
  toolset: 'default',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    run_id: runId,
    output: text(64).min(1).describe('Name of the output'),
    source_name: newName.describe('What pipelines call it'),
    description: text(2_000).min(1).describe('What the data are'),
    reason,
  }),
  output: answer({ source: sourceRow, created: z.boolean(), next: nextCall() }),
  audit: (input) => ({ workspace: input.run_id, reason: input.reason, reasonField: 'reason' }),
  handler: (ctx, input) => {
    const { source, created } = ctx.sources.promote({
      run: findStageRun(ctx.db, input.run_id),
      output: input.output,
      name: input.source_name,
      description: input.description,
    });
    const row = toSourceRow(source);
    const ref = `source:${row.name}@${row.version}`;
    return { source: row, created, next: { tool: 'lineage', arguments: { ref, direction: 'up' } } };
  },
  render: (output) =>
    lines(
      output.source && renderRegistered(output.source, output.created ?? true),
      output.source?.from_run && `It is ${output.source.signal} of ${output.source.from_run}.`,
      output.next && `next: ${callText(output.next)}`,
    ),
});
