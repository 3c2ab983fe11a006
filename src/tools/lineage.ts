import { z } from 'zod';
import { formatVersion } from '../core/names.ts';
import { type LineageEdge, type LineageNode, lineageGraph, lineageId } from '../data/lineage.ts';
import { DEFAULT_RESULT_TOKENS, fittingCount, MAX_RESULT_TOKENS } from './budget.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reference } from './fields.ts';
import { readLineageRef } from './lineage-ref.ts';
import { callText, count, lines } from './text.ts';

const DEFAULT_DEPTH = 3;
const MAX_DEPTH = 20;

const node = z.object({
  id: z.string(),
  kind: z.string(),
  label: z.string(),
  state: z.string().optional(),
  hash: z.string().optional(),
  size: z.int().optional(),
  distance: z.int().describe('Steps from ref'),
});
const edge = z.object({ from: z.string(), to: z.string(), kind: z.string(), name: z.string().optional() });

export const lineage = defineTool({
  name: 'lineage',
  title: 'Show lineage',
  description:
    'What something was made from (up) and what was made from it (down): runs, signals, sources and versions as a graph. A reused run leads to the one that did the work.',
  toolset: 'default',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    ref: reference.describe('Run, run.signal, source@v2 or ws@v3'),
    direction: z.enum(['up', 'down', 'both']).optional().describe('Default: both'),
    depth: z.int().min(1).max(MAX_DEPTH).optional().describe(`Steps from ref (default ${DEFAULT_DEPTH})`),
  }),
  output: answer({
    root: z.array(z.string()),
    nodes: z.array(node).describe('Nearest first'),
    edges: z.array(edge).describe('In the direction of the data'),
    truncated: z.boolean(),
    next: nextCall().nullable(),
  }),
  handler: (ctx, input) => {
    const roots = readLineageRef(ctx, input.ref);
    const depth = input.depth ?? DEFAULT_DEPTH;
    const direction = input.direction ?? 'both';
    const graph = lineageGraph(ctx.db, { roots, direction, depth });
    const budget = input.depth === undefined ? DEFAULT_RESULT_TOKENS : MAX_RESULT_TOKENS;
    const cut = fitting(graph.nodes, graph.edges, budget * 0.9);
    const truncated = graph.truncated || cut.nodes.length < graph.nodes.length;
    const last = cut.nodes.at(-1);
    return {
      root: roots.map(lineageId),
      nodes: cut.nodes.map(toNode),
      edges: cut.edges,
      truncated,
      next: truncated && last ? { tool: 'lineage', arguments: { ref: last.id, direction } } : null,
      ...(truncated
        ? { note: 'There is more: look on from a node at the edge of this, or in one direction.' }
        : {}),
    };
  },
  render: (output, kit) =>
    lines(
      `${count((output.nodes ?? []).length, 'node')} around ${(output.root ?? []).join(', ')}`,
      kit.table(
        (output.nodes ?? []).map((row) => [row.id, row.label, row.state, row.size]),
        ['node', 'what', 'state', 'bytes'],
      ),
      ...(output.edges ?? []).map(
        (row) => `${row.from} → ${row.to} (${row.kind}${row.name ? ` ${row.name}` : ''})`,
      ),
      output.note,
      output.next && `next: ${callText(output.next)}`,
    ),
});

/** The nearest nodes that fit, with the edges between them. */
function fitting(nodes: readonly LineageNode[], edges: readonly LineageEdge[], tokens: number) {
  const within = (size: number) => {
    const kept = nodes.slice(0, size);
    const ids = new Set(kept.map(({ id }) => id));
    return { nodes: kept, edges: edges.filter(({ from, to }) => ids.has(from) && ids.has(to)) };
  };
  for (let size = fittingCount(nodes.map(toNode), tokens); size > 1; size = Math.ceil(size * 0.8) - 1) {
    const part = within(size);
    const all = [...part.nodes.map(toNode), ...part.edges];
    if (fittingCount(all, tokens) === all.length) return part;
  }
  return within(1);
}

function toNode(item: LineageNode): z.infer<typeof node> {
  const { id, ref, distance, run, content } = item;
  return {
    id,
    kind: ref.kind,
    label: labelOf(item),
    distance,
    ...(run ? { state: run.cached ? `${run.state} (cached)` : run.state } : {}),
    ...(content ? { hash: content.hash, size: content.size } : {}),
  };
}

function labelOf({ ref, run, content, deleted }: LineageNode): string {
  if (ref.kind === 'run')
    return run ? `${run.stage} of ${run.workspace}@${formatVersion(run.version)}` : 'run';
  if (ref.kind === 'signal') return content ? `${content.kind} ${ref.signal}` : `${ref.signal}, not made`;
  if (ref.kind === 'source') return `source ${ref.name}${deleted ? ', deleted' : ''}`;
  return `version of ${ref.workspace}`;
}
