import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import { withLock } from '../store/lock.ts';
import { cacheCandidates } from './gc-caches.ts';
import { type Candidate, diskUse, type GcDeps, type GcKind } from './gc-candidate.ts';
import { leftoverCandidates } from './gc-leftovers.ts';
import { objectCandidates } from './gc-objects.ts';
import { runCandidates } from './gc-runs.ts';

export type GcItem = {
  kind: GcKind;
  what: string;
  bytes: number;
  /** Milliseconds since the epoch. */
  lastUsed: number;
  why: 'age' | 'size';
};

export type GcReport = {
  dryRun: boolean;
  /** What went, or would go; the oldest first within a kind. */
  freed: GcItem[];
  freedBytes: number;
  /** Of the private state, before. */
  stateBytes: number;
  /** What could go later: nothing needs it, but it is not old enough. */
  laterBytes: number;
  /** Parts that could not be looked at or removed; the others were. */
  problems: { kind: GcKind; message: string }[];
};

type Deps = GcDeps & { config: { storage: Pick<Config['storage'], 'keep'> } };

/**
 * Frees what nothing needs, by the rules of docs/storage.md. Safe beside everything else: what is being made, stored
 * or launched is found needed, or made again by who needs it. One at a time per project.
 * Errors: CONFLICT where another one is at work.
 */
export async function collectGarbage(
  deps: Deps,
  options: { dryRun: boolean; signal?: AbortSignal },
): Promise<GcReport> {
  const { clock, layout } = deps;
  // Who only looks is in nobody's way.
  if (options.dryRun) return collect(deps, options);
  const lock = { clock, what: 'the disk', waitMs: 5_000 };
  return withLock(layout.gcLock, lock, () => collect(deps, options));
}

async function collect(
  deps: Deps,
  { dryRun, signal }: { dryRun: boolean; signal?: AbortSignal },
): Promise<GcReport> {
  const { keep } = deps.config.storage;
  const problems: GcReport['problems'] = [];
  const find = async (kind: GcKind, look: () => Promise<Candidate[]>): Promise<Candidate[]> => {
    signal?.throwIfAborted();
    try {
      return await look();
    } catch (error) {
      if (signal?.aborted) throw error;
      problems.push({ kind, message: messageOf(error) });
      return [];
    }
  };
  const stateBytes = await diskUse(deps.layout.stateDir, signal);
  const all = [
    ...(await find('attempts', () => runCandidates(deps, keep))),
    ...(await find('environments', () => cacheCandidates(deps, keep))),
    ...(await find('objects', () => objectCandidates(deps, signal))),
    ...(await find('leftovers', () => leftoverCandidates(deps))),
  ];
  const chosen = choose(all, { stateBytes, maxBytes: keep.maxBytes });
  const freed: GcItem[] = [];
  for (const { candidate, why } of chosen) {
    signal?.throwIfAborted();
    const { kind, what, bytes, lastUsed } = candidate;
    try {
      if (dryRun || (await candidate.free())) freed.push({ kind, what, bytes, lastUsed, why });
    } catch (error) {
      problems.push({ kind, message: `${what}: ${messageOf(error)}` });
    }
  }
  const freedBytes = sum(freed);
  return {
    dryRun,
    freed,
    freedBytes,
    stateBytes,
    laterBytes: sum(all) - sum(chosen.map(({ candidate }) => candidate)),
    problems,
  };
}

/** What is old enough, and then the oldest of the rest while everything together is too large. */
function choose(
  all: readonly Candidate[],
  limits: { stateBytes: number; maxBytes: number | null },
): { candidate: Candidate; why: GcItem['why'] }[] {
  const byAge = all.filter(({ due }) => due).sort(oldestFirst);
  const chosen = byAge.map((candidate) => ({ candidate, why: 'age' as const }));
  if (limits.maxBytes === null) return chosen;
  let left = limits.stateBytes - sum(byAge);
  const bySize: { candidate: Candidate; why: GcItem['why'] }[] = [];
  for (const candidate of all.filter(({ due }) => !due).sort(oldestFirst)) {
    if (left <= limits.maxBytes) break;
    bySize.push({ candidate, why: 'size' });
    left -= candidate.bytes;
  }
  return [...chosen, ...bySize];
}

function oldestFirst(a: Candidate, b: Candidate): number {
  return a.lastUsed - b.lastUsed;
}

function sum(of: readonly { bytes: number }[]): number {
  return of.reduce((total, { bytes }) => total + bytes, 0);
}
