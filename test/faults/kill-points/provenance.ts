import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashJson, type JsonObject } from '../../../src/core/json.ts';
import type { StageRun } from '../../../src/core/rows.ts';
import { attemptsOfRun } from '../../../src/store/attempts.ts';
import { inputsOfRun } from '../../../src/store/signals.ts';
import { findVersion } from '../../../src/store/workspaces.ts';
import { filesBelow, type Given, hashGiven, type Told } from '../kit/executions.ts';
import type { FaultProject } from '../kit/fault-project.ts';

/** What the caller submitted. */
export type Submitted = {
  /** Absolute path of the slot, which has not been touched since. */
  slot: string;
  config: JsonObject;
  /** Hashes of the inputs' contents by name. */
  inputs: Readonly<Record<string, string>>;
};

/** In words, where what is stored of a run, or what its program was given, is not what was submitted. */
export function wrongProvenance(
  { project, told }: { project: FaultProject; told: readonly Told[] },
  run: StageRun,
  submitted: Submitted,
): string | undefined {
  return (
    wronglyStored(project, run, submitted) ??
    storedTooLate(project, run) ??
    wronglyGiven(told, run, submitted)
  );
}

function wronglyStored({ db, layout }: FaultProject, run: StageRun, of: Submitted): string | undefined {
  // By the name that people know: whatever the row says, this is what they find.
  const tag = `refs/tags/${run.workspace}-v${run.version}`;
  const tree = storedFiles(layout.versionStore, tag);
  if (tree === undefined) return `there is no ${tag}`;
  if (hashJson(tree) !== hashJson(slotFiles(of.slot))) return `${tag} holds other files than the slot`;
  if (hashJson(run.plan.config) !== hashJson(of.config)) return `${run.id} is stored with another config`;
  const inputs = Object.fromEntries(inputsOfRun(db, run.id).map(({ name, hash }) => [name, hash]));
  return hashJson(inputs) === hashJson(of.inputs) ? undefined : `${run.id} is stored with other inputs`;
}

/** Names of git's blobs by path; undefined where nothing has that name. */
function storedFiles(store: string, tag: string): Record<string, string> | undefined {
  try {
    const words = ['--git-dir', store, 'ls-tree', '-r', '-z', tag];
    const text = execFileSync('git', words, { encoding: 'utf8', stdio: 'pipe' });
    const entries = text.split('\0').filter(Boolean);
    return Object.fromEntries(
      entries.map((entry) => [entry.slice(entry.indexOf('\t') + 1), entry.split(/[ \t]/)[2] ?? '']),
    );
  } catch {
    return undefined;
  }
}

function slotFiles(slot: string): Record<string, string> {
  const blob = (content: Buffer): string =>
    createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  return Object.fromEntries(filesBelow(slot).map((path) => [path, blob(readFileSync(join(slot, path)))]));
}

function storedTooLate({ db }: FaultProject, run: StageRun): string | undefined {
  const version = findVersion(db, run.workspace, run.version)?.createdAt ?? '';
  const [first] = attemptsOfRun(db, run.id)
    .flatMap(({ startedAt }) => startedAt ?? [])
    .sort();
  if (first === undefined || (version <= first && run.createdAt <= first)) return undefined;
  return `${run.id} began at ${first}, and was stored at ${run.createdAt}, its version at ${version}`;
}

function wronglyGiven(told: readonly Told[], run: StageRun, of: Submitted): string | undefined {
  const expected = hashGiven({ ...of, code: of.slot });
  for (const { word, runId, attempt, given } of told) {
    if (word !== 'begin' || runId !== run.id) continue;
    const others = (Object.keys(expected) as (keyof Given)[]).filter(
      (part) => given[part] !== expected[part],
    );
    if (others.length > 0)
      return `attempt ${attempt} of ${runId} was given another ${others.join(', another ')}`;
  }
  return undefined;
}
