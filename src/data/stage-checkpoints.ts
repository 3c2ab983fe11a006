import { constants } from 'node:fs';
import { cp, link, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { sha256 } from '../core/json.ts';
import type { PlannedCheckpoint } from '../core/stage-plan.ts';
import { resolveInside, syncFolder } from '../os/files.ts';
import { syncTree } from '../workspaces/moves.ts';
import { hashFile } from './hash-file.ts';

/** What the stage libraries write into `manifest.json` of a checkpoint, as far as it matters here. */
const manifestSchema = z.looseObject({
  name: z.string().min(1).max(64),
  step: z.number().nullable().catch(null),
  files: z.array(z.looseObject({ path: z.string().min(1), sha256: z.string() })),
});
type Manifest = z.output<typeof manifestSchema>;

const MANIFEST = 'manifest.json';
/** `<8 digits>-<name>`, numbered in the order they were saved. What is being saved has another name. */
const FOLDER = /^(\d{8,})-[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;
/** Far more than a manifest of thousands of files has. The folder is the stage's: anything may lie there. */
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

/** The whole ones of a run, oldest first. Those that a kill cut short never got a name of this form. */
export async function listStageCheckpoints(folder: string): Promise<PlannedCheckpoint[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  const found: PlannedCheckpoint[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory() || !FOLDER.test(entry.name)) continue;
    const read = await readManifest(join(folder, entry.name));
    if (read)
      found.push({ id: entry.name, name: read.manifest.name, step: read.manifest.step, hash: read.hash });
  }
  return found.sort((a, b) => numberOf(a) - numberOf(b) || (a.id < b.id ? -1 : 1));
}

function numberOf({ id }: PlannedCheckpoint): number {
  return Number(id.split('-')[0]);
}

/**
 * Copies checkpoints of another run to where a run finds its own, and to `from/<run>` for those who name that run:
 * one copy with two names. Called again after a kill it does the rest. `into` is a folder that no stage has had yet.
 * Errors: INPUT_UNAVAILABLE for one that is gone, or not as it was saved.
 */
export async function copyStageCheckpoints(of: {
  runId: string;
  from: string;
  into: string;
  checkpoints: readonly PlannedCheckpoint[];
  signal: AbortSignal;
}): Promise<void> {
  const { into, runId } = of;
  const copies = join(into, 'from', runId);
  if (await exists(copies)) return;
  const temporary = join(into, '.copying');
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  for (const checkpoint of of.checkpoints) await copyOne({ ...of, checkpoint, into: temporary });
  await syncTree(temporary);
  for (const { id } of of.checkpoints) await giveSecondName(join(temporary, id), { into, id });
  await mkdir(join(into, 'from'), { recursive: true, mode: 0o700 });
  await rename(temporary, copies);
  await syncFolder(join(into, 'from'));
  await syncFolder(into);
}

async function copyOne(of: {
  runId: string;
  from: string;
  into: string;
  checkpoint: PlannedCheckpoint;
  signal: AbortSignal;
}): Promise<void> {
  const { runId, checkpoint, signal } = of;
  signal.throwIfAborted();
  const [source, target] = [join(of.from, checkpoint.id), join(of.into, checkpoint.id)];
  const copied = await copyFolder(source, target);
  // Judged by the copy, which nobody writes to.
  const read = copied ? await readManifest(target) : undefined;
  const fault = !copied
    ? 'is no longer there'
    : read?.hash === checkpoint.hash
      ? await faultIn(target, read.manifest, signal)
      : 'is not what it was';
  if (fault === undefined) return;
  throw new GoldfishError('INPUT_UNAVAILABLE', {
    message: `Checkpoint ${checkpoint.id} of ${runId} ${fault}.`,
    hint: 'Retry from another checkpoint, or without one.',
    details: { run_id: runId, checkpoint: checkpoint.id },
  });
}

/** Links are copied as links: the stage that wrote the folder may have made them lead anywhere. */
async function copyFolder(source: string, target: string): Promise<boolean> {
  if (!(await exists(source))) return false;
  await cp(source, target, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
  return true;
}

async function faultIn(folder: string, manifest: Manifest, signal: AbortSignal): Promise<string | undefined> {
  for (const { path, sha256: expected } of manifest.files) {
    const file = await resolveInside(folder, path).catch(() => undefined);
    const found = file === undefined ? undefined : await hashFile(file, signal).catch(ifNotAborted(signal));
    if (found?.hash !== `sha256:${expected}`) return `is damaged: ${path} is not as it was saved`;
  }
  return undefined;
}

function ifNotAborted(signal: AbortSignal): () => undefined {
  return () => {
    signal.throwIfAborted();
    return undefined;
  };
}

/** Undefined where there is none, or none that can be read. */
async function readManifest(folder: string): Promise<{ manifest: Manifest; hash: string } | undefined> {
  try {
    const handle = await open(
      join(folder, MANIFEST),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      const stat = await handle.stat();
      if (!stat.isFile() || stat.size > MAX_MANIFEST_BYTES) return undefined;
      const text = await handle.readFile('utf8');
      return { manifest: manifestSchema.parse(JSON.parse(text)), hash: sha256(text) };
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

/** The same files under another name; the folder gets it when all of it is there. */
async function giveSecondName(from: string, { into, id }: { into: string; id: string }): Promise<void> {
  if (await exists(join(into, id))) return;
  const temporary = join(into, `.linking-${id}`);
  await rm(temporary, { recursive: true, force: true });
  await linkTree(from, temporary);
  await rename(temporary, join(into, id));
}

async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkTree(source, target);
    else await link(source, target);
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
