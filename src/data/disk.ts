import type { Config } from '../config/config.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import { formatBytes } from '../core/memory-size.ts';
import { diskSpace, freeBytesNow } from '../os/disk-space.ts';
import { storedBytes } from '../store/garbage.ts';
import { collectGarbage } from './gc.ts';
import type { GcDeps, GcKind } from './gc-candidate.ts';

type Places = { layout: Pick<Layout, 'stateDir'>; config: { storage: Config['storage'] } };

export type DiskState = {
  /** Of the fuller one of the disks under the private state and the stored objects. */
  freeBytes: number;
  totalBytes: number;
  /** Outputs and sources that are stored. */
  storedBytes: number;
  /** Below this nothing new is started. */
  minFreeBytes: number;
};

export async function diskState(deps: Places & Pick<GcDeps, 'db'>): Promise<DiskState> {
  const spaces = await Promise.all(placesOf(deps).map((place) => diskSpace(place)));
  const fuller = spaces.reduce((a, b) => (b.freeBytes < a.freeBytes ? b : a));
  const { minFreeBytes } = deps.config.storage.keep;
  return { ...fuller, storedBytes: storedBytes(deps.db), minFreeBytes };
}

/** What keeps new work from being started, in words; null while there is room. */
export function diskShortage(deps: Places): string | null {
  const { minFreeBytes } = deps.config.storage.keep;
  if (minFreeBytes === 0) return null;
  const free = Math.min(...placesOf(deps).map((place) => freeBytesNow(place)));
  if (free >= minFreeBytes) return null;
  return `room on the disk: ${formatBytes(free)} are free, storage.keep.min_free_gb holds back ${formatBytes(minFreeBytes)}`;
}

/** Enough for thousands of runs; then the refusal goes without an account. */
const ACCOUNT_MS = 5_000;

/**
 * Refuses new work before the disk is full, so that what runs can end well.
 * Errors: STORAGE_UNAVAILABLE, saying what could be freed.
 */
export async function requireDiskRoom(deps: Places & GcDeps): Promise<void> {
  const shortage = diskShortage(deps);
  if (shortage === null) return;
  const freeable = await whatCouldGo(deps);
  throw new GoldfishError('STORAGE_UNAVAILABLE', {
    message: `New work waits for ${shortage}.`,
    hint: hintOf(freeable),
    details: { ...(freeable ? { freeable_bytes: Object.fromEntries(freeable) } : {}) },
    retryable: true,
  });
}

function hintOf(freeable: Map<GcKind, number> | undefined): string {
  const rest =
    'Delete what else is on the disk, shorten the days of storage.keep in goldfish.yaml, or move the state with state_dir.';
  if (freeable === undefined) return `\`goldfish gc\` frees what nothing needs. ${rest}`;
  if (freeable.size === 0) return `\`goldfish gc\` has nothing to free now. ${rest}`;
  const parts = [...freeable].map(([kind, bytes]) => `${kind} ${formatBytes(bytes)}`);
  const total = [...freeable.values()].reduce((sum, bytes) => sum + bytes, 0);
  return `\`goldfish gc\` frees ${formatBytes(total)}: ${parts.join(', ')}.`;
}

async function whatCouldGo(deps: Places & GcDeps): Promise<Map<GcKind, number> | undefined> {
  try {
    const options = { dryRun: true, signal: AbortSignal.timeout(ACCOUNT_MS) };
    const { freed } = await collectGarbage(deps, options);
    const byKind = new Map<GcKind, number>();
    for (const { kind, bytes } of freed) {
      if (bytes > 0) byKind.set(kind, (byKind.get(kind) ?? 0) + bytes);
    }
    return new Map([...byKind].sort(([, a], [, b]) => b - a));
  } catch {
    return undefined;
  }
}

function placesOf({ layout, config }: Places): string[] {
  return [layout.stateDir, config.storage.local.path];
}
