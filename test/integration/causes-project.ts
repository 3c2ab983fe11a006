import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { assetPath } from '../../src/core/assets.ts';
import { type AttemptLayout, projectLayout } from '../../src/core/layout.ts';
import type { ToolClient } from '../../src/mcp/client.ts';
import { createTestProject, type TestProject, until, waitOver } from '../support/project.ts';
import type { Backend, Deed } from './causes-case.ts';

/** `defaults.stop_grace_seconds` of the project. */
export const GRACE_SECONDS = 5;

const REASON = 'A run that ends in a way of its own';
type Row = Record<string, unknown>;

/** A project on one backend, whose runs are seen through tools only. */
export type CausesProject = {
  project: TestProject;
  client: ToolClient;
  /** Puts files in a workspace of its own, which is mounted in a slot of its own. */
  workspace(name: string, files: Record<string, string>, executables?: readonly string[]): Promise<void>;
  /** Submits; the ids of the runs by stage, and of the pipeline run as `pipeline`. */
  run(workspace: string, more?: Row): Promise<Record<string, string>>;
  inspect(runId: string, include?: readonly string[]): Promise<Row>;
  /** The last lines as `stream: text`. Without those of a build on rented machines, where each image is pushed first. */
  tail(runId: string, count: number): Promise<string[]>;
  attempt(runId: string): AttemptLayout;
  /** Until the program of the run has said that it has begun. */
  begun(runId: string): Promise<void>;
  /** Lets a program that waits go on. */
  release(runId: string): void;
  deed(deed: Deed, runId: string): Promise<void>;
  over(id: string): Promise<void>;
  dispose(): Promise<void>;
};

export async function createCausesProject(backend: Backend, more = ''): Promise<CausesProject> {
  const project = createTestProject({
    config: `slots: 8
defaults: { backend: ${backend}, stop_grace_seconds: ${GRACE_SECONDS} }
process: { sandbox: none, max_parallel: 8 }
docker: { base_image: '${TEST_IMAGE}', max_parallel: 8 }
${more}`,
  });
  const client = await project.connect();
  const layout = projectLayout(project.root);
  const attempt = (runId: string): AttemptLayout => layout.attempt(runId, 1);
  const control = (runId: string): string | undefined =>
    backend === 'gce' ? controlOnMachine(runId) : attempt(runId).control;
  const inspect: CausesProject['inspect'] = (runId, include = []) =>
    client.call('inspect_run', { run_id: runId, include });
  return {
    project,
    client,
    workspace: async (name, files, executables = []) => {
      await client.call('create_workspace', { name, goal: 'See how its runs end', reason: REASON });
      const slot = String((await client.call('mount', { workspace: name, reason: REASON }))['path']);
      for (const folder of ['modules', 'configs']) {
        rmSync(join(project.root, slot, folder), { recursive: true, force: true });
      }
      for (const [path, text] of Object.entries(files)) project.write(`${slot}/${path}`, text);
      for (const path of executables) chmodSync(join(project.root, slot, path), 0o755);
    },
    run: async (workspace, given = {}) => {
      const answer = await client.call('run', { workspace, reason: REASON, ...given });
      const rows = answer['runs'] as { stage: string; run_id: string }[];
      return {
        ...Object.fromEntries(rows.map(({ stage, run_id }) => [stage, run_id])),
        pipeline: String(answer['pipeline_run_id']),
      };
    },
    inspect,
    tail: async (runId, count) => {
      const answer = await client.call('logs', { run_id: runId, tail: count });
      return (answer['lines'] as { stream: string; text: string }[])
        .filter(({ stream }) => backend !== 'gce' || stream !== 'build')
        .map(({ stream, text }) => `${stream}: ${text}`);
    },
    attempt,
    begun: (runId) =>
      until(() => existsSync(join(control(runId) ?? '', 'go')), 90_000, `the program of ${runId}`),
    release: (runId) => writeFileSync(join(control(runId) ?? '', 'on'), ''),
    deed: async (deed, runId) => {
      if (deed === 'cancel') {
        const reason = 'See what a canceled run says';
        await client.call('cancel', { target: runId, reason });
        return;
      }
      if (deed === 'kill the program') {
        const found = programsOf(runId);
        if (found.length === 0) throw new Error(`no program of ${runId} was found`);
        for (const pid of found) process.kill(pid, 'SIGKILL');
        return;
      }
      if (deed === 'kill the container') {
        const { status, stderr } = spawnSync('docker', ['kill', `goldfish-${runId}-1`], { encoding: 'utf8' });
        if (status !== 0) throw new Error(`${deed} of ${runId}: ${stderr}`);
        return;
      }
      if (backend === 'gce') {
        process.kill(wrapperOnMachine(runId), 'SIGKILL');
        return;
      }
      const folders = attempt(runId);
      if (deed.startsWith('garble')) writeFileSync(folders.result, 'no good thing');
      if (deed.startsWith('hide')) mkdirSync(folders.result);
      killWrapper(folders);
    },
    over: (id) => waitOver(client, id, 12),
    dispose: () => project.dispose(),
  };
}

function killWrapper({ wrapper }: AttemptLayout): void {
  process.kill((JSON.parse(readFileSync(wrapper, 'utf8')) as { pid: number }).pid, 'SIGKILL');
}

/** A rented machine is a container here: its processes can be seen, and files through those that have them. */
function controlOnMachine(runId: string): string | undefined {
  const [pid] = programsOf(runId);
  const words = read(`/proc/${pid}/environ`).split('\0');
  const folder = words.find((word) => word.startsWith('GOLDFISH_CONTROL='))?.split('=')[1];
  return folder && `/proc/${pid}/root${folder}`;
}

/** A machine has one job at a time, so one wrapper. */
function wrapperOnMachine(runId: string): number {
  const machineOf = (pid: number): string | undefined =>
    /[0-9a-f]{64}/.exec(read(`/proc/${pid}/cgroup`))?.[0];
  const machine = machineOf(programsOf(runId)[0] ?? 0);
  const found = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/cmdline`).includes('/run_wrapper.py'))
    .map(Number)
    .filter((pid) => machine !== undefined && machineOf(pid) === machine);
  if (found.length !== 1) throw new Error(`${found.length} run wrappers of ${runId} were found`);
  return found[0]!;
}

/** Processes of a run without what Goldfish put around them. */
function programsOf(runId: string): number[] {
  return processesOf(runId)
    .filter(({ words }) => !words.includes('container_init'))
    .map(({ pid }) => pid);
}

/** Every process of the machine that has the run in its environment. Zombies have none. */
function processesOf(runId: string): { pid: number; words: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => read(`/proc/${name}/environ`).split('\0').includes(`GOLDFISH_RUN_ID=${runId}`))
    .map((name) => ({ pid: Number(name), words: read(`/proc/${name}/cmdline`).replaceAll('\0', ' ') }));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

const PROBE = `
import sys; sys.path.insert(0, sys.argv[1])
import wrapper_cgroups as c
g = c.make_groups('goldfish-probe-%s' % sys.argv[2], {'memory': 10**8, 'pids': None, 'cpus': None})
print(*g.limits); g.remove()
`;

/** Whether the kernel lets the process backend limit the memory of a whole run here. */
export const limitsMemory = spawnSync(
  'python3',
  ['-B', '-c', PROBE, dirname(assetPath('runtime/run_wrapper.py')), `${process.pid}`],
  { encoding: 'utf8' },
).stdout.includes('memory');
