import { formatVersion } from '../core/names.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import type { Db } from '../store/database.ts';
import { runBrief } from '../store/lineage.ts';
import { outputsOfRun } from '../store/signals.ts';
import { recordedSource } from '../store/sources.ts';
import { type EdgeKind, type Found, type LineageRef, neighbours } from './lineage-steps.ts';

export type Direction = 'up' | 'down' | 'both';

export type LineageNode = {
  id: string;
  ref: LineageRef;
  /** Steps from the start, signals not counted. */
  distance: number;
  run?: { workspace: string; version: number; stage: string; state: RunState; cached: boolean };
  content?: { hash: string; size: number; kind: 'file' | 'folder' };
  /** Of a source. */
  deleted?: boolean;
};

/** Data flow `from` → `to`. `reused`: `to` took over what `from` had computed. */
export type LineageEdge = {
  from: string;
  to: string;
  kind: EdgeKind;
  /** The name of the input. */
  name?: string;
};

export type LineageGraph = {
  /** Nearest to the start first. */
  nodes: LineageNode[];
  edges: LineageEdge[];
  /** There is more: beyond a bound of nodes, or of neighbours of one node. */
  truncated: boolean;
};

const MAX_NODES = 400;

export function lineageId(ref: LineageRef): string {
  if (ref.kind === 'run') return ref.runId;
  if (ref.kind === 'signal') return `${ref.runId}.${ref.signal}`;
  if (ref.kind === 'source') return `source:${ref.name}@${formatVersion(ref.version)}`;
  return `version:${ref.workspace}@${formatVersion(ref.version)}`;
}

type Visit = { ref: LineageRef; distance: number; directions: readonly ('up' | 'down')[] };

/**
 * Where something comes from and what became of it, breadth first. Up from a thing only ever goes up, so that a shared
 * source does not pull in everything else that was made from it. Reads only.
 */
export function lineageGraph(
  db: Db,
  request: { roots: readonly LineageRef[]; direction: Direction; depth: number },
): LineageGraph {
  const directions = request.direction === 'both' ? (['up', 'down'] as const) : [request.direction];
  const queue: Visit[] = request.roots.map((ref) => ({ ref, distance: 0, directions }));
  const graph = collector(db);
  for (const { ref } of queue) graph.add(ref, 0);
  const seen = new Set<string>();
  for (let visit = queue.shift(); visit; visit = queue.shift()) {
    for (const direction of visit.directions) {
      const key = `${direction} ${lineageId(visit.ref)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const { found, more } = neighbours(db, visit.ref, direction);
      if (more) graph.cut();
      for (const step of found) {
        const distance = visit.distance + (step.ref.kind === 'signal' ? 0 : 1);
        if (distance > request.depth || !graph.connect(visit.ref, step, { direction, distance })) continue;
        queue.push({ ref: step.ref, distance, directions: [direction] });
      }
    }
    // Signals cost no distance: what is nearest comes first all the same.
    queue.sort((a, b) => a.distance - b.distance);
  }
  return graph.done();
}

function collector(db: Db) {
  const nodes = new Map<string, LineageNode>();
  const edges = new Map<string, LineageEdge>();
  let truncated = false;
  const add = (ref: LineageRef, distance: number): boolean => {
    const id = lineageId(ref);
    if (nodes.has(id)) return true;
    if (nodes.size >= MAX_NODES) {
      truncated = true;
      return false;
    }
    nodes.set(id, { id, ref, distance, ...describe(db, ref) });
    return true;
  };
  return {
    add,
    cut: (): void => {
      truncated = true;
    },
    connect: (at: LineageRef, step: Found, how: { direction: 'up' | 'down'; distance: number }): boolean => {
      if (!add(step.ref, how.distance)) return false;
      const [from, to] = how.direction === 'up' ? [step.ref, at] : [at, step.ref];
      const edge = { from: lineageId(from), to: lineageId(to), kind: step.kind };
      const name = step.name === undefined ? {} : { name: step.name };
      edges.set(JSON.stringify([edge, name]), { ...edge, ...name });
      return true;
    },
    done: (): LineageGraph => ({
      nodes: [...nodes.values()].sort((a, b) => a.distance - b.distance),
      edges: [...edges.values()],
      truncated,
    }),
  };
}

function describe(db: Db, ref: LineageRef): Partial<LineageNode> {
  if (ref.kind === 'run') {
    const run = runBrief(db, ref.runId);
    if (!run) return {};
    const { workspace, version, stage, state } = run;
    return { run: { workspace, version, stage, state, cached: run.cachedFrom !== null } };
  }
  if (ref.kind === 'signal') {
    const output = outputsOfRun(db, ref.runId).find(({ name }) => name === ref.signal);
    return output ? { content: { hash: output.hash, size: output.size, kind: output.kind } } : {};
  }
  if (ref.kind === 'version') return {};
  const source = recordedSource(db, ref);
  if (!source) return {};
  const { hash, size, kind } = source;
  return { content: { hash, size, kind }, ...(source.deletedAt === null ? {} : { deleted: true }) };
}
