import { mkdirSync } from 'node:fs';
import { type Backend, type Environment, type FaultProject, patiently } from '../kit/fault-project.ts';
import { createTellingProject, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';

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

export async function makePrototype(backend: Backend, cache: string, batch: number): Promise<Prototype> {
  mkdirSync(cache, { recursive: true });
  const environment = { NODE_OPTIONS: `--import=${HOOK}`, NODE_COMPILE_CACHE: cache };
  const stages = ['one', 'two'];
  const { project, server, slot } = await createTellingProject({
    backend,
    stages,
    chained: true,
    environment,
  });
  try {
    const call = {
      workspace: WORKSPACE,
      reason: 'What is made once is there in every trial',
      stages: ['one'],
      config_override: { one: { ...ledgerOf(project, backend), batch } },
      wait_seconds: 60,
    };
    const answer = await patiently(() => server.call('run', call));
    if (answer['state'] !== 'completed') throw new Error(`the prototype is ${answer['state']}`);
    await server.close();
    // Not killed: what they compiled is kept for those that will be.
    await project.endPrograms('SIGTERM');
    return { backend, project, environment, slot, batch };
  } catch (error) {
    await project.dispose();
    throw error;
  }
}
