import { rmSync } from 'node:fs';
import { engineAnswers } from '../../../scripts/setup/engine.ts';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { isTerminal, type RunState } from '../../../src/core/run-lifecycle.ts';
import {
  type Backend,
  createFaultProject,
  type FaultProject,
  patiently,
  type Server,
} from '../kit/fault-project.ts';

export const WORKSPACE = 'exp';
export const REASON = 'A test of what the world does';

export const hasEngine = await engineAnswers();
export const NEEDS_ENGINE = hasEngine ? '' : ' (needs a container engine: node scripts/setup.ts)';

/** `code`: Python of the stage. */
export type Stage = {
  code: string;
  /** YAML of the mapping, without its braces: `made: file`. */
  outputs?: string;
  inputs?: string;
  compute?: string;
  retries?: number;
  backend?: Backend;
  /** YAML of its configuration, beside `compute`. */
  config?: string;
};

export type StageProject = {
  project: FaultProject;
  server: Server;
  slot: string;
  /** Submits all stages, or those named; run ids by stage. */
  run(stages?: readonly string[]): Promise<Record<string, string>>;
  inspect(runId: string, ...include: string[]): Promise<JsonObject>;
  /** Until the run is over, as the tool sees it. */
  over(runId: string, seconds?: number): Promise<JsonObject>;
  close(): Promise<void>;
};

const COMMON = 'storage: { keep: { min_free_gb: 0 } }\nprofiles: { few: { pids_limit: 40 } }\n';

/** More than there are stages: they meet the fault together. */
const AT_ONCE = 10;

function configOf(backend: Backend, host: string | null): string {
  const docker = `docker: { base_image: '${TEST_IMAGE}', max_parallel: ${AT_ONCE}, host: ${host} }\n`;
  const own = `process: { sandbox: none, max_parallel: ${AT_ONCE} }\n`;
  return `defaults: { backend: ${backend}, stop_grace_seconds: 1 }\n${docker}${own}${COMMON}`;
}

/** A project whose one mounted workspace holds these stages, beside each other unless they say otherwise. */
export async function createStageProject(of: {
  backend: Backend;
  stages: Readonly<Record<string, Stage>>;
  /** Of the container engine, where it is not the machine's own. */
  host?: string;
}): Promise<StageProject> {
  const { backend, stages, host = null } = of;
  const project = createFaultProject(configOf(backend, host));
  try {
    const server = await project.server();
    await server.call('create_workspace', { name: WORKSPACE, goal: 'Meet the world', reason: REASON });
    const mounted = await server.call('mount', { workspace: WORKSPACE, reason: REASON });
    const slot = String(mounted['path']);
    for (const name of ['modules', 'configs']) rmSync(`${project.root}/${slot}/${name}`, { recursive: true });
    writeStages(project, slot, stages);
    return { project, server, slot, ...calls(project, server) };
  } catch (error) {
    await project.dispose();
    throw error;
  }
}

function writeStages(project: FaultProject, slot: string, stages: Readonly<Record<string, Stage>>): void {
  const rows = Object.entries(stages).map(([name, { inputs, outputs, retries = 0 }]) => {
    const more = [
      inputs === undefined ? '' : `    inputs: { ${inputs} }\n`,
      outputs === undefined ? '' : `    outputs: { ${outputs} }\n`,
    ];
    return `  - name: ${name}\n    retries: { max_restarts: ${retries} }\n${more.join('')}`;
  });
  project.write(`${slot}/pipeline.yaml`, `name: world\nstages:\n${rows.join('')}`);
  for (const [name, { code, compute = '', backend, config = '' }] of Object.entries(stages)) {
    project.write(`${slot}/modules/${name}.py`, code);
    const keys = [backend === undefined ? '' : `backend: ${backend}`, compute].filter(Boolean).join(', ');
    project.write(`${slot}/configs/${name}.yaml`, `compute: { ${keys} }\n${config}\n`);
  }
}

function calls(project: FaultProject, server: Server) {
  const inspect: StageProject['inspect'] = (runId, ...include) =>
    server.call('inspect_run', { run_id: runId, include });
  return {
    inspect,
    run: async (stages?: readonly string[]) => {
      const more = stages === undefined ? {} : { stages: [...stages] };
      const call = { workspace: WORKSPACE, reason: REASON, use_cache: false, ...more };
      // A busy engine may be late with its answer.
      const answer = await patiently(() => server.call('run', call));
      const runs = answer['runs'] as { stage: string; run_id: string }[];
      return Object.fromEntries(runs.map(({ stage, run_id }) => [stage, run_id]));
    },
    over: async (runId: string, seconds = 60) => {
      for (let left = seconds; left > 0; left -= 20) {
        const answer = await server.call('wait', { targets: [runId], timeout_seconds: Math.min(20, left) });
        if (answer['done'] === true) return inspect(runId, 'attempts', 'events', 'outputs', 'debug');
      }
      const now = await inspect(runId);
      if (isTerminal(now['state'] as RunState)) return now;
      throw new Error(`waited ${seconds} s for the end of ${runId}: ${JSON.stringify(now)}`);
    },
    close: async () => {
      await server.close().catch(() => undefined);
      await project.dispose();
    },
  };
}
