import type { StageRun } from '../core/rows.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import { readLease } from '../store/lease.ts';
import { type Block, blockOf, missingSecrets } from './admit.ts';
import type { RunsDeps } from './deps.ts';
import { isLeaseHeld, isOlder, seemsStuck } from './supervisor-lease.ts';

/** What a run waits for by its own nature; null where nothing of that kind holds it. Reads only. */
export function blockedBy(deps: RunsDeps, run: StageRun): Block | null {
  if (run.state === 'pending') return blockOf(deps, run);
  const claimed = run.state === 'preparing' || run.state === 'building' || run.state === 'launching';
  const missing = claimed ? missingSecrets(deps, run) : null;
  return missing === null ? null : { kind: 'environment', text: missing };
}

/** States in which nothing happens without a supervisor; from then on the attempt goes its way alone. */
const NEEDS_SUPERVISOR: readonly RunState[] = ['pending', 'preparing', 'building'];

/**
 * The same in words, down to who is to claim it: of a pending run there is always something to say. Null where
 * somebody is at work on it, where it runs, and where it is over. Reads only.
 */
export function whyWaiting(deps: RunsDeps, run: StageRun): string | null {
  const block = blockedBy(deps, run);
  if (block !== null) return block.text;
  return NEEDS_SUPERVISOR.includes(run.state) ? supervisorTrouble(deps, run) : null;
}

function supervisorTrouble({ db, clock, goldfishVersion }: RunsDeps, run: StageRun): string | null {
  const lease = readLease(db);
  if (seemsStuck(lease, clock)) {
    return `supervisor: the one at work has not renewed its lease since ${lease.heartbeatAt}; another takes over`;
  }
  if (!isLeaseHeld(lease, clock)) return 'supervisor: none is at work; run, wait, retry and cancel start one';
  const theirs = lease.goldfishVersion ?? 'an unknown version';
  if (isOlder(lease, goldfishVersion)) {
    return `supervisor: one of Goldfish ${theirs} is at work; this program (${goldfishVersion}) is newer and replaces it`;
  }
  if (run.state !== 'pending') return null;
  return isOlder({ goldfishVersion }, theirs)
    ? `supervisor: its next look; it is of Goldfish ${theirs}, newer than this program (${goldfishVersion})`
    : 'supervisor: its next look, within a second';
}
