import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { tellingPipeline } from '../kit/executions.ts';
import {
  type Backend,
  createFaultProject,
  type Environment,
  type FaultProject,
} from '../kit/fault-project.ts';

export const WORKSPACE = 'exp';
const STAGES = ['one', 'two'];
const HOOK = new URL('./hook.ts', import.meta.url).href;

/** A project with a workspace, mounted, of which one stage has been run: every trial begins with a copy of it. */
export type Prototype = {
  backend: Backend;
  project: FaultProject;
  /** Of every program of every trial: the hook, and one place for what it compiled. */
  environment: Environment;
  slot: string;
  batch: number;
};

export function configFor(backend: Backend, more = ''): string {
  return backend === 'docker'
    ? `defaults: { backend: docker }\ndocker: { base_image: '${TEST_IMAGE}'${more} }\n`
    : `defaults: { backend: process }\nprocess: { sandbox: none${more} }\n`;
}

export async function makePrototype(backend: Backend, cache: string, batch: number): Promise<Prototype> {
  mkdirSync(cache, { recursive: true });
  const environment = { NODE_OPTIONS: `--import=${HOOK}`, NODE_COMPILE_CACHE: cache };
  const project = createFaultProject(configFor(backend), environment);
  const server = await project.server();
  await server.call('create_workspace', {
    name: WORKSPACE,
    goal: 'See what a death leaves behind',
    reason: 'A prototype of the fault suite',
  });
  const mounted = await server.call('mount', {
    workspace: WORKSPACE,
    reason: 'A prototype of the fault suite',
  });
  const slot = String(mounted['path']);
  for (const name of ['modules', 'configs']) rmSync(join(project.root, slot, name), { recursive: true });
  for (const [path, text] of Object.entries(tellingPipeline(STAGES, { chained: true, config: {} }))) {
    project.write(`${slot}/${path}`, text);
  }
  const ledger = backend === 'docker' ? {} : { ledger: project.ledger };
  const answer = await server.call('run', {
    workspace: WORKSPACE,
    reason: 'What is made once is there in every trial',
    stages: ['one'],
    config_override: { one: { ...ledger, batch } },
    wait_seconds: 60,
  });
  if (answer['state'] !== 'completed') throw new Error(`the prototype is ${answer['state']}`);
  await server.close();
  await project.endPrograms('SIGTERM');
  return { backend, project, environment, slot, batch };
}
