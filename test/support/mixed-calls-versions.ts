import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Caller, CONFIG, type Made, type Wrote } from './mixed-calls.ts';
import type { TestProject } from './project.ts';

/** What the template of the workspaces says: in the slot again after a rollback. */
export const FIRST_CONFIG = 'k: 0\n';

type Version = { workspace: string; version: number; sha: string };
/** Content of a file in a version of a workspace; undefined where it is not in it. */
type Content = (of: { workspace: string; version: number; path: string }) => string | undefined;

/** Numbers without a gap; and in each version that was answered with what had been written before. */
export function versionProblems(project: TestProject, made: readonly Made[]): string[] {
  const versions = project.rows<Version>(
    'SELECT workspace_name AS workspace, version, git_sha AS sha FROM workspace_versions ORDER BY 1, 2',
  );
  const content = contentOf(project, versions);
  return [
    ...gaps(versions),
    ...made.flatMap((call) => notSaved(call, content) ?? []),
    ...otherConfigs(project, made, content),
  ];
}

function gaps(versions: readonly Version[]): string[] {
  let before = { workspace: '', version: 0 };
  return versions.flatMap((row) => {
    const due = row.workspace === before.workspace ? before.version + 1 : 1;
    before = row;
    return row.version === due ? [] : [`${row.workspace}: v${row.version} comes where v${due} is due`];
  });
}

function contentOf(project: TestProject, versions: readonly Version[]): Content {
  const store = `--git-dir=${join(project.root, '.goldfish', 'versions.git')}`;
  const shas = new Map(versions.map(({ workspace, version, sha }) => [`${workspace}@v${version}`, sha]));
  return ({ workspace, version, path }) => {
    const sha = shas.get(`${workspace}@v${version}`);
    try {
      return execFileSync('git', [store, 'show', `${sha}:${path}`], { encoding: 'utf8', stdio: 'pipe' });
    } catch {
      return undefined;
    }
  };
}

/**
 * What a caller wrote into its own slot is in the very version it was answered with. In a slot that all share a rollback
 * may have come first: then that has saved it, in a version before.
 */
function notSaved(call: Made, content: Content): string | undefined {
  const { tool, outcome, answer, marker, wrote } = call;
  if (outcome !== 'ok' || wrote === undefined || (tool !== 'checkpoint' && tool !== 'run')) return undefined;
  // The config of a slot that all share may have been written again by somebody else.
  if (wrote.path === CONFIG && wrote.into !== 'own') return undefined;
  const workspace = String(answer['workspace']);
  const last = Number(String(answer['version']).slice(1));
  const first = wrote.into === 'own' ? last : 1;
  for (let version = last; version >= first; version -= 1) {
    if (content({ workspace, version, path: wrote.path }) === wrote.text) return undefined;
  }
  return `${marker}: ${tool} was answered with ${workspace}@v${last}, which has not what was written into ${wrote.path}`;
}

/** A run has the config of its version, and that one which somebody has written. */
function otherConfigs(project: TestProject, made: readonly Made[], content: Content): string[] {
  const rows = project.rows<{ id: string; workspace: string; version: number; plan: string }>(
    'SELECT id, workspace_name AS workspace, version, plan_json AS plan FROM stage_runs',
  );
  const configs = made.flatMap(({ wrote }) => (wrote?.path === CONFIG ? [wrote] : []));
  return rows.flatMap(({ id, workspace, version, plan }) => {
    const text = content({ workspace, version, path: CONFIG });
    const { config } = JSON.parse(plan) as { config: { k: number } };
    const isWritten =
      text === FIRST_CONFIG || configs.some((one) => one.workspace === workspace && one.text === text);
    return isWritten && text === `k: ${config.k}\n`
      ? []
      : [`${id} has ${JSON.stringify(config)}, and ${workspace}@v${version} ${text}`];
  });
}

/**
 * Files that were written into slots which all mount and put away: each is there when its workspace is mounted again. One
 * that came just after the slot was emptied lies in it, and belongs to nobody.
 */
export async function lostFiles(of: {
  project: TestProject;
  made: readonly Made[];
  caller: Caller | undefined;
  contested: readonly string[];
}): Promise<string[]> {
  const { project, made, caller, contested } = of;
  const reason = 'See what is there in the end';
  for (const slot of contested) await caller?.call('hibernate', { slot, reason });
  const found = filesOfNobody(project);
  for (const workspace of contested) {
    const mounted = await caller?.call('mount', { workspace, reason });
    if (mounted?.error !== undefined) return [`${workspace} cannot be mounted: ${mounted.error.message}`];
    found.push(...filesIn(join(project.root, String(mounted?.structured['path']))));
    await caller?.call('hibernate', { slot: workspace, reason });
  }
  const written = made.flatMap(({ wrote }) => (wrote?.into === 'contested' ? [wrote] : []));
  return written.flatMap((file) => {
    const texts = found.filter(({ path }) => path === file.path).map(({ text }) => text);
    return texts.length === 1 && texts[0] === file.text
      ? []
      : [`${file.path}, written into the slot of ${file.workspace}, is there as ${JSON.stringify(texts)}`];
  });
}

type File = Pick<Wrote, 'path' | 'text'>;

/** What lies in slots that hold no workspace; taken out, as the refusal of a mount says. */
function filesOfNobody(project: TestProject): File[] {
  const empty = project.rows<{ name: string }>('SELECT name FROM slots WHERE workspace_name IS NULL');
  return empty.flatMap(({ name }) => {
    const folder = join(project.root, 'workspaces', name);
    const files = filesIn(folder);
    for (const { path } of files) rmSync(join(folder, path));
    return files;
  });
}

function filesIn(folder: string): File[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
    return entries.map(({ name }) => ({ path: name, text: readFileSync(join(folder, name), 'utf8') }));
  } catch {
    // A slot that was never used has no folder.
    return [];
  }
}
