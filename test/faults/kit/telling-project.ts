import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { until } from '../../integration/until.ts';
import { tellingPipeline } from './executions.ts';
import {
  type Backend,
  createFaultProject,
  type Environment,
  type FaultProject,
  type Server,
} from './fault-project.ts';

export const WORKSPACE = 'exp';
const REASON = 'A project of the fault suite';

/** Where the stages tell: their config key `ledger`; none in containers, see TELLING_STAGE. */
export function ledgerOf(project: FaultProject, backend: Backend): { ledger?: string } {
  return backend === 'docker' ? {} : { ledger: project.ledger };
}

/**
 * A project whose one workspace, mounted, holds telling stages, with a server that goes on. Nothing has been run.
 * `slots`: how many may run at once.
 */
export async function createTellingProject(of: {
  backend: Backend;
  stages: readonly string[];
  chained?: boolean;
  slots?: number;
  environment?: Environment;
}): Promise<{ project: FaultProject; server: Server; slot: string }> {
  const { backend, slots = null } = of;
  const config =
    backend === 'docker'
      ? `defaults: { backend: docker }\ndocker: { base_image: '${TEST_IMAGE}', max_parallel: ${slots} }\n`
      : `defaults: { backend: process }\nprocess: { sandbox: none, max_parallel: ${slots} }\n`;
  return openTellingProject({ ...of, config });
}

/** The same with a config of its own. */
export async function openTellingProject(of: {
  config: string;
  stages: readonly string[];
  chained?: boolean;
  environment?: Environment;
}): Promise<{ project: FaultProject; server: Server; slot: string }> {
  const { config, stages, chained = false, environment = {} } = of;
  const project = createFaultProject(config, environment);
  try {
    const server = await project.server();
    await server.call('create_workspace', {
      name: WORKSPACE,
      goal: 'See what a fault leaves behind',
      reason: REASON,
    });
    const mounted = await server.call('mount', { workspace: WORKSPACE, reason: REASON });
    const slot = String(mounted['path']);
    for (const name of ['modules', 'configs']) rmSync(join(project.root, slot, name), { recursive: true });
    for (const [path, text] of Object.entries(tellingPipeline(stages, { chained }))) {
      project.write(`${slot}/${path}`, text);
    }
    return { project, server, slot };
  } catch (error) {
    await project.dispose();
    throw error;
  }
}

/** A fresh program with no client finishes what is left: until every run is over and no attempt holds anything. */
export async function finishAlone(
  project: FaultProject,
  program: readonly string[] | 'supervisor' = ['supervisor'],
): Promise<void> {
  project.start(program);
  // Also where nothing was left to do: the place of a killed supervisor's socket is taken, and then given back.
  await until(() => project.leaseHolder() !== undefined, 'the lease of a fresh supervisor', 60);
  await calm(project);
  await project.endPrograms('SIGTERM');
}

/** Until every pipeline run is over and no attempt holds anything any more. */
export async function calm({ db }: FaultProject): Promise<void> {
  const runs = db.prepare<{ n: number }>('SELECT count(*) AS n FROM stage_runs').get()?.n ?? 0;
  const left = (): number =>
    db
      .prepare<{ n: number }>(
        `SELECT (SELECT count(*) FROM pipeline_runs WHERE ended_at IS NULL) +
                (SELECT count(*) FROM run_attempts WHERE released_at IS NULL) AS n`,
      )
      .get()?.n ?? 0;
  await until(() => left() === 0, 'the end of all runs and the release of all attempts', 90 + 2 * runs);
}
