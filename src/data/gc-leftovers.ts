import { join } from 'node:path';
import { removeTree } from '../workspaces/moves.ts';
import { type Candidate, entries, type GcDeps, GONE, measure } from './gc-candidate.ts';

/** Nothing that is under way goes so long without a write. */
const UNTOUCHED_MS = 86_400_000;

/** What deaths have left: unfinished copies and checkouts, scratch, and what an earlier `gc` was about to remove. */
export async function leftoverCandidates(deps: GcDeps): Promise<Candidate[]> {
  const { layout } = deps;
  const { runs, folders } = layout;
  const isGone = (name: string): boolean => name.startsWith(GONE);
  const runFolders = (await entries(runs)).map((run) => ({ folder: join(runs, run), left: isGone }));
  const places = [
    { folder: layout.scratch, left: () => true },
    { folder: layout.environments, left: isGone },
    { folder: layout.checkouts, left: (name: string) => isGone(name) || /^\..*\.making(\.|$)/.test(name) },
    { folder: folders, left: (name: string) => isGone(name) || /^[0-9a-f]{64}\.[0-9a-f]{8}$/.test(name) },
    ...runFolders,
  ];
  const found: Candidate[] = [];
  for (const { folder, left } of places) {
    for (const name of await entries(folder)) {
      if (!left(name)) continue;
      const path = join(folder, name);
      const { bytes, newest } = await measure(path);
      const due = isGone(name) || deps.clock.now() - newest >= UNTOUCHED_MS;
      if (!due) continue;
      found.push({
        kind: 'leftovers',
        what: layout.shown(path),
        bytes,
        lastUsed: newest,
        due,
        free: async () => {
          await removeTree(path);
          return true;
        },
      });
    }
  }
  return [...found, ...(await unfinishedObjects(deps))];
}

async function unfinishedObjects({ storage, clock }: GcDeps): Promise<Candidate[]> {
  const { unfinished } = storage;
  const found = (await unfinished?.list(clock.now() - UNTOUCHED_MS)) ?? [];
  return found.map(({ name, size, since }) => ({
    kind: 'leftovers',
    what: `unfinished write ${name}`,
    bytes: size,
    lastUsed: since,
    due: true,
    free: async () => {
      await unfinished?.remove(name);
      return true;
    },
  }));
}
