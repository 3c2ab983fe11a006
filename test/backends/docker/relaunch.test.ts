import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/backends/docker/engine.ts';
import { launchAttempt } from '../../../src/backends/docker/launch.ts';
import { type DockerProject, fakeEngine, openDockerProject, RUN, refusal } from './docker-project.ts';

let project: DockerProject;
beforeEach(async () => {
  project = await openDockerProject();
});
afterEach(() => project.close());

/** An engine in which a launch before us has left a container of the attempt; `onRemove` is what happens just then. */
function engineWithOne(state: 'created' | 'running', onRemove: () => Promise<void> = async () => undefined) {
  const said: string[] = [];
  let there: string | undefined = state;
  const engine: Engine = fakeEngine({
    getContainer: () => ({
      start: () => Promise.reject(new Error('not asked for here')),
      wait: () => Promise.reject(new Error('not asked for here')),
      remove: async ({ force }) => {
        await onRemove();
        said.push(force ? 'remove with force' : 'remove');
        if (there === undefined) throw refusal(404, 'No such container');
        if (there === 'running' && !force) {
          throw refusal(409, 'You cannot remove a running container. Stop the container or force remove');
        }
        there = undefined;
      },
    }),
    createContainer: async () => {
      if (there !== undefined) throw refusal(409, 'Conflict. The container name is already in use');
      said.push('create');
      // Nothing is to be started here.
      throw refusal(500, 'made as far as this test goes');
    },
  });
  return { engine, said };
}

describe('a launch that finds a container of a launch that was killed', () => {
  it('puts its own in the place of one that was never started', async () => {
    const { engine, said } = engineWithOne('created');
    await expect(launchAttempt(project.deps(engine), await project.spec())).rejects.toThrow('as far as this');
    expect(said).toEqual(['remove', 'create']);
  });

  it('leaves one that its run wrapper has started meanwhile, and answers with the handle of that', async () => {
    const { engine, said } = engineWithOne('running', () => project.write(RUN, 'started', ''));
    const handle = await launchAttempt(project.deps(engine), await project.spec());
    expect(handle).toMatchObject({ ...RUN, externalId: `goldfish-${RUN.runId}-1` });
    expect(said).toEqual(['remove']);
    // What the run wrapper was told is not written over.
    await expect(readFile(project.layout.attempt(RUN.runId, 1).spec, 'utf8')).rejects.toThrow('ENOENT');
  });

  it('removes one that somebody else has started: no run wrapper looks after it', async () => {
    const { engine, said } = engineWithOne('running');
    await expect(launchAttempt(project.deps(engine), await project.spec())).rejects.toThrow('as far as this');
    expect(said).toEqual(['remove', 'remove with force', 'create']);
  });

  it('answers with the handle where the attempt is taken while its container is made', async () => {
    const conflict = { createContainer: () => Promise.reject(refusal(409, 'The container name is in use')) };
    const { engine } = engineWithOne('created', () => project.write(RUN, 'started', ''));
    const handle = await launchAttempt(project.deps({ ...engine, ...conflict }), await project.spec());
    expect(handle).toMatchObject(RUN);
  });
});
