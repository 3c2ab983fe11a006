import type { Db } from '../store/database.ts';
import {
  forkedFrom,
  forksOf,
  runBrief,
  runsOfVersion,
  runsReusing,
  sourcesOfSignals,
  startedFrom,
  startOf,
  usesOfSignals,
} from '../store/lineage.ts';
import { inputsOfRun, outputsOfRun } from '../store/signals.ts';
import { recordedSource, sourceConsumers } from '../store/sources.ts';

/** What a graph of lineage is made of. */
export type LineageRef =
  | { kind: 'run'; runId: string }
  | { kind: 'signal'; runId: string; signal: string }
  | { kind: 'source'; name: string; version: number }
  | { kind: 'version'; workspace: string; version: number };

export type EdgeKind = 'input' | 'output' | 'code' | 'promoted' | 'reused' | 'forked' | 'checkpoint';
export type Found = { ref: LineageRef; kind: EdgeKind; name?: string };
type Neighbours = { found: Found[]; more: boolean };

/** Neighbours of one node in one direction; more than this is said, not shown. */
const MAX_NEIGHBOURS = 100;

/** One step from a node: `up` to what it was made from, `down` to what was made from it. */
export function neighbours(db: Db, ref: LineageRef, direction: 'up' | 'down'): Neighbours {
  const all = direction === 'up' ? above(db, ref) : below(db, ref);
  return { found: all.slice(0, MAX_NEIGHBOURS), more: all.length > MAX_NEIGHBOURS };
}

function above(db: Db, ref: LineageRef): Found[] {
  if (ref.kind === 'signal') return [{ ref: { kind: 'run', runId: ref.runId }, kind: 'output' }];
  if (ref.kind === 'run') return aboveRun(db, ref.runId);
  if (ref.kind === 'version') {
    const parent = ref.version === 1 ? forkedFrom(db, ref.workspace) : undefined;
    return parent ? [{ ref: { kind: 'version', ...parent }, kind: 'forked' }] : [];
  }
  const source = recordedSource(db, ref);
  if (!source?.fromRunId || !source.fromSignal) return [];
  const signal: LineageRef = { kind: 'signal', runId: source.fromRunId, signal: source.fromSignal };
  return [{ ref: signal, kind: 'promoted' }];
}

function aboveRun(db: Db, runId: string): Found[] {
  const run = runBrief(db, runId);
  if (!run) return [];
  const { workspace, version } = run;
  const found: Found[] = [{ ref: { kind: 'version', workspace, version }, kind: 'code' }];
  if (run.cachedFrom !== null) found.push({ ref: { kind: 'run', runId: run.cachedFrom }, kind: 'reused' });
  const start = startOf(db, runId);
  if (start)
    found.push({ ref: { kind: 'run', runId: start.runId }, kind: 'checkpoint', name: start.checkpoint });
  for (const input of inputsOfRun(db, runId)) {
    const origin = originOf(input);
    if (origin) found.push({ ref: origin, kind: 'input', name: input.name });
  }
  return found;
}

function originOf(input: ReturnType<typeof inputsOfRun>[number]): LineageRef | undefined {
  if (input.fromSource !== null && input.fromSourceVersion !== null) {
    return { kind: 'source', name: input.fromSource, version: input.fromSourceVersion };
  }
  if (input.fromRunId === null || input.fromSignal === null) return undefined;
  return { kind: 'signal', runId: input.fromRunId, signal: input.fromSignal };
}

function below(db: Db, ref: LineageRef): Found[] {
  const limit = MAX_NEIGHBOURS + 1;
  if (ref.kind === 'version') {
    const runs = runsOfVersion(db, { ...ref, limit });
    const forks = forksOf(db, { ...ref, limit });
    return [
      ...runs.map((runId): Found => ({ ref: { kind: 'run', runId }, kind: 'code' })),
      ...forks.map(
        (workspace): Found => ({ ref: { kind: 'version', workspace, version: 1 }, kind: 'forked' }),
      ),
    ];
  }
  if (ref.kind === 'run') return belowRun(db, ref.runId, limit);
  if (ref.kind === 'source') {
    return sourceConsumers(db, { name: ref.name, version: ref.version, limit }).map(
      ({ runId, input }): Found => ({ ref: { kind: 'run', runId }, kind: 'input', name: input }),
    );
  }
  return [
    ...usesOfSignals(db, { runId: ref.runId, signal: ref.signal, limit }).map(
      ({ runId, input }): Found => ({ ref: { kind: 'run', runId }, kind: 'input', name: input }),
    ),
    ...sourcesOfSignals(db, { runId: ref.runId, signal: ref.signal, limit }).map(
      ({ name, version }): Found => ({ ref: { kind: 'source', name, version }, kind: 'promoted' }),
    ),
  ];
}

function belowRun(db: Db, runId: string, limit: number): Found[] {
  // A run that has not completed has no outputs yet, and yet others wait for them.
  const names = new Set([
    ...outputsOfRun(db, runId).map(({ name }) => name),
    ...usesOfSignals(db, { runId, limit }).map(({ signal }) => signal),
  ]);
  const signals = [...names].map(
    (signal): Found => ({ ref: { kind: 'signal', runId, signal }, kind: 'output' }),
  );
  const cacheKey = runBrief(db, runId)?.cacheKey ?? null;
  const reusing = cacheKey === null ? [] : runsReusing(db, { runId, cacheKey, limit });
  return [
    ...signals,
    ...reusing.map((id): Found => ({ ref: { kind: 'run', runId: id }, kind: 'reused' })),
    ...startedFrom(db, { runId, limit }).map(
      (start): Found => ({
        ref: { kind: 'run', runId: start.runId },
        kind: 'checkpoint',
        name: start.checkpoint,
      }),
    ),
  ];
}
