import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { type GoldfishError, isGoldfishError } from '../../src/core/errors.ts';
import { systemIds } from '../../src/core/ids.ts';
import { type Layout, projectLayout } from '../../src/core/layout.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { createWorkspaces, type Workspaces, type WorkspacesDeps } from '../../src/workspaces/workspaces.ts';

export type Project = {
  root: string;
  layout: Layout;
  db: Db;
  workspaces: Workspaces;
  /** The same project as another process would open it. */
  again(overrides?: Partial<WorkspacesDeps>): Workspaces;
  /** Writes a file of a slot, below the root of the project. */
  write(path: string, content: string | Uint8Array, mode?: number): void;
  read(path: string): string;
  writeState(path: string, content: string): void;
  /** A git command on the hidden store, from outside. */
  git(...args: string[]): string;
  remove(): void;
};

export const TEMPLATE = { 'pipeline.yaml': 'name: demo\n', 'modules/train.py': 'print(1)\n' };

export function makeProject(options: Partial<WorkspacesDeps> & { clock?: Clock } = {}): Project {
  const root = mkdtempSync(join(tmpdir(), 'goldfish-ws-'));
  const layout = projectLayout(root);
  const templateDir = join(root, 'template');
  for (const [path, content] of Object.entries(TEMPLATE)) writeAt(join(templateDir, path), content);
  mkdirSync(layout.stateDir);
  const db = openDatabase(layout.database, { create: true });
  const open = (overrides: Partial<WorkspacesDeps> = {}): Workspaces =>
    createWorkspaces({
      db,
      clock: systemClock,
      ids: systemIds,
      layout,
      slots: ['w1', 'w2'],
      maxFileBytes: 1_000_000,
      templateDir,
      ...options,
      ...overrides,
    });
  return {
    root,
    layout,
    db,
    workspaces: open(),
    again: open,
    write: (path, content, mode) => {
      writeAt(join(root, 'workspaces', path), content, mode);
    },
    read: (path) => readFileSync(join(root, 'workspaces', path), 'utf8'),
    writeState: (path, content) => {
      writeAt(join(layout.stateDir, path), content);
    },
    git: (...args) =>
      execFileSync('git', ['--git-dir', layout.versionStore, ...args], { encoding: 'utf8' }).trim(),
    remove: () => {
      db.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function writeAt(file: string, content: string | Uint8Array, mode?: number): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  if (mode !== undefined) chmodSync(file, mode);
}

/** A project with workspace `a` mounted in `w1`. */
export async function mountedProject(options: Partial<WorkspacesDeps> = {}): Promise<Project> {
  const project = makeProject(options);
  await project.workspaces.create({ name: 'a', goal: 'find out' });
  await project.workspaces.mount({ workspace: 'a', slot: 'w1' });
  return project;
}

/** Every file of a version with its text. */
export async function textsOf(project: Project, reference: string): Promise<Record<string, string>> {
  const files = project.workspaces.files(project.workspaces.version(reference));
  const paths = await files.list();
  const texts = paths.map(async (path) => [path, (await files.read(path)) ?? ''] as const);
  return Object.fromEntries(await Promise.all(texts));
}

/** The error a call ends with; fails where it does not. */
export async function errorOf(work: () => unknown): Promise<GoldfishError> {
  try {
    await work();
  } catch (error) {
    if (isGoldfishError(error)) return error;
    throw error;
  }
  throw new Error('expected a GoldfishError');
}

/** Every file below a folder, relative, sorted; `.git` and folders are not named. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
