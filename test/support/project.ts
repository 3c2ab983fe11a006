import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { assetPath } from '../../src/core/assets.ts';
import { systemClock } from '../../src/core/clock.ts';
import { connectStdio, type ToolClient } from '../../src/mcp/client.ts';
import { isProcessAlive } from '../../src/os/process-identity.ts';

/** A project in a temporary folder, driven through real servers; everything it started is ended with it. */
export type TestProject = {
  root: string;
  /** A folder beside the project, for what stages leave outside of it. */
  outside: string;
  write(path: string, content: string): void;
  connect(): Promise<ToolClient>;
  /** One row or all of the project's own database, read only. */
  rows<T>(sql: string, ...params: (string | number)[]): T[];
  supervisorPid(): number | null;
  dispose(): Promise<void>;
};

/** `at`: the folder it is made in. */
export function createTestProject(options: { config?: string; at?: string } = {}): TestProject {
  const base = mkdtempSync(join(options.at ?? tmpdir(), 'goldfish-test-'));
  const root = join(base, 'project');
  const outside = join(base, 'outside');
  mkdirSync(root);
  mkdirSync(outside);
  writeFileSync(join(root, 'goldfish.yaml'), `project_name: test\n${options.config ?? ''}`);
  const clients: ToolClient[] = [];

  const rows = <T>(sql: string, ...params: (string | number)[]): T[] => {
    const db = new Database(join(root, '.goldfish', 'goldfish.db'), { readonly: true, timeout: 5_000 });
    try {
      return db.prepare<(string | number)[], T>(sql).all(...params);
    } finally {
      db.close();
    }
  };
  const supervisor = (): { pid: number; start: string; bootId: string } | undefined => {
    try {
      const [row] = rows<{ pid: number | null; start: string; bootId: string }>(
        'SELECT pid, pid_start AS start, boot_id AS bootId FROM supervisor_lease',
      );
      return row?.pid ? { ...row, pid: row.pid } : undefined;
    } catch {
      return undefined;
    }
  };
  return {
    root,
    outside,
    write: (path, content) => {
      const full = join(root, path);
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(full, content);
    },
    connect: async () => {
      const client = await connectStdio({
        command: process.execPath,
        args: [assetPath('bin/goldfish.js'), 'serve'],
        cwd: root,
      });
      clients.push(client);
      return client;
    },
    rows,
    supervisorPid: () => supervisor()?.pid ?? null,
    dispose: async () => {
      await Promise.allSettled(clients.map((client) => client.close()));
      const holder = supervisor();
      if (holder && isProcessAlive(holder)) {
        process.kill(holder.pid, 'SIGTERM');
        await until(() => !isProcessAlive(holder), 15_000);
      }
      await endWrappers(join(root, '.goldfish', 'runs'));
      rmSync(base, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** What a failed test left running: its run wrappers are asked to stop their programs. */
async function endWrappers(runs: string): Promise<void> {
  for (const file of globSync('*/*/wrapper.json', { cwd: runs })) {
    const wrapper = JSON.parse(readFileSync(join(runs, file), 'utf8'));
    if (!isProcessAlive(wrapper)) continue;
    process.kill(wrapper.pid, 'SIGTERM');
    await until(() => !isProcessAlive(wrapper), 20_000, 'the end of a run wrapper');
  }
}

/** Polls for a condition; the deadline is the only time in a test. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
  what = 'the condition',
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what} did not come true within ${timeoutMs} ms`);
    await systemClock.sleep(25);
  }
}

/** The files of a small workspace: one Python program per stage. */
export function writeStages(
  project: TestProject,
  slot: string,
  stages: { pipeline: string; modules: Record<string, string>; configs?: Record<string, string> },
): void {
  project.write(`${slot}/pipeline.yaml`, stages.pipeline);
  for (const [name, text] of Object.entries(stages.modules))
    project.write(`${slot}/modules/${name}.py`, text);
  for (const [name, text] of Object.entries(stages.configs ?? {})) {
    project.write(`${slot}/configs/${name}.yaml`, text);
  }
}

/** A project with one mounted workspace whose template is replaced by the given stages. */
export async function mountStages(
  project: TestProject,
  stages: Parameters<typeof writeStages>[2],
): Promise<{ client: ToolClient; slot: string; workspace: string }> {
  const client = await project.connect();
  const workspace = 'exp';
  await client.call('create_workspace', {
    name: workspace,
    goal: 'See that the promise holds',
    reason: 'A test of the main path',
  });
  const mounted = await client.call('mount', { workspace, reason: 'Write the stages of the test' });
  const slot = String(mounted['path']);
  for (const name of ['modules', 'configs'])
    rmSync(join(project.root, slot, name), { recursive: true, force: true });
  writeStages(project, slot, stages);
  return { client, slot, workspace };
}

/** Waits, through the tool, until a pipeline run is over. */
export async function waitOver(client: ToolClient, id: string, tries = 6): Promise<void> {
  for (let i = 0; i < tries; i += 1) {
    const answer = await client.call('wait', { targets: [id], timeout_seconds: 20 });
    if (answer['done'] === true) return;
  }
  throw new Error(`${id} was not over in time`);
}
