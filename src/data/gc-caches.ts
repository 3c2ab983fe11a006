import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { environmentUses, IN_USE, inputUses, isInOpenUse, type OpenUse, treeUses } from '../store/garbage.ts';
import {
  type Candidate,
  entries,
  type GcDeps,
  type GcKind,
  isOlder,
  measure,
  takeAway,
} from './gc-candidate.ts';

type Keep = Config['storage']['keep'];

/** What is made again when it is needed: environments, read-only copies of versions, stored folders as folders. */
export async function cacheCandidates(deps: GcDeps, keep: Keep): Promise<Candidate[]> {
  const { layout, db } = deps;
  const hex = /^[0-9a-f]{40,64}$/;
  const shared = { deps, days: keep.daysUnusedCheckouts };
  return [
    ...(await scan({
      deps,
      kind: 'environments',
      folder: layout.environments,
      days: keep.daysUnusedEnvironments,
      uses: environmentUses(db),
      keyOf: (name) => (hex.test(name) ? `sha256:${name}` : undefined),
      toUse: (environment) => ({ environment }),
    })),
    ...(await scan({
      ...shared,
      kind: 'checkouts',
      folder: layout.checkouts,
      uses: treeUses(db),
      // `<tree>`, `<tree>.2` beside it where the first was changed by somebody, and what is known of them.
      keyOf: (name) => /^([0-9a-f]{40,64})(\.\d+|\.json)?$/.exec(name)?.[1],
      toUse: (tree) => ({ tree }),
    })),
    ...(await scan({
      ...shared,
      kind: 'folders',
      folder: layout.folders,
      uses: inputUses(db),
      keyOf: (name) => (hex.test(name) ? `sha256:${name}` : undefined),
      toUse: (input) => ({ input }),
    })),
  ];
}

async function scan(request: {
  deps: GcDeps;
  kind: GcKind;
  folder: string;
  days: number | null;
  /** Last use by key. */
  uses: ReadonlyMap<string, string>;
  /** Undefined for what is none of these. */
  keyOf(name: string): string | undefined;
  toUse(key: string): OpenUse;
}): Promise<Candidate[]> {
  const { deps, kind, folder, uses } = request;
  const found: Candidate[] = [];
  for (const name of await entries(folder)) {
    const key = request.keyOf(name);
    if (key === undefined) continue;
    const path = join(folder, name);
    const { bytes, newest } = await measure(path);
    const used = uses.get(key);
    if (used === IN_USE) continue;
    // What no run has used yet was made for one: it counts from when it was made.
    const lastUsed = used === undefined ? newest : Date.parse(used);
    found.push({
      kind,
      what: `${kind.slice(0, -1)} ${name.slice(0, 12)}`,
      bytes,
      lastUsed,
      due: isOlder(deps, lastUsed, request.days),
      free: () => takeAway(deps, { path, isFree: () => !isInOpenUse(deps.db, request.toUse(key)) }),
    });
  }
  return found;
}
