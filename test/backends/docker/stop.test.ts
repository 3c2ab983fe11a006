import { chmod, mkdir, readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanUpAttempt } from '../../../src/backends/docker/stop.ts';
import type { Logger } from '../../../src/core/logger.ts';
import { asOrdinaryUser } from '../../support/ordinary-user.ts';
import { type DockerProject, engineWith, openDockerProject, RUN, refusal } from './docker-project.ts';

let project: DockerProject;
beforeEach(async () => {
  project = await openDockerProject();
});
afterEach(() => project.close());

const handle = { backend: 'docker', ...RUN, externalId: 'x', data: {} };
const Labels = { 'goldfish.project': 'p', 'goldfish.run': RUN.runId, 'goldfish.attempt': '1' };

/** A log that keeps what it is warned of. */
function listen(): { log: Logger; warnings: string[] } {
  const warnings: string[] = [];
  const ignore = (): void => undefined;
  const warn: Logger['warn'] = (_fields, message) => void warnings.push(message);
  return { log: { debug: ignore, info: ignore, warn, error: ignore }, warnings };
}

/** An engine that cannot remove the container in that state, as where its files are held by a mount elsewhere. */
function stuck(state: string): ReturnType<typeof engineWith> {
  return engineWith([{ Id: 'stuck', Labels, State: state, Created: 0 }], () => {
    throw refusal(500, 'unable to remove filesystem: device or resource busy');
  });
}

describe('freeing an attempt', () => {
  it.each(['dead', 'exited', 'removing', 'created'])(
    'is not held up by a container that is %s and cannot be removed',
    async (state) => {
      await project.write(RUN, 'inputs', 'for the program');
      const { log, warnings } = listen();
      // It is looked for again: that it is gone only the engine can say.
      expect(await cleanUpAttempt(project.deps(stuck(state).engine, { log }), handle)).toBe('unconfirmed');
      expect(await readdir(project.layout.attempt(RUN.runId, 1).dir)).not.toContain('inputs');
      expect(warnings).toEqual(['a container in which nothing runs could not be removed yet']);
    },
  );

  it.each(['running', 'paused', 'restarting'])(
    'is to be tried again where a container is %s that cannot be removed',
    async (state) => {
      await expect(cleanUpAttempt(project.deps(stuck(state).engine), handle)).rejects.toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
        message: expect.stringContaining('device or resource busy'),
        retryable: true,
      });
    },
  );

  it('is not certain while the engine does not answer', async () => {
    const engine = async (): Promise<never> => {
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    };
    const { engine: empty } = engineWith([]);
    expect(await cleanUpAttempt(project.deps(empty, { engine }), handle)).toBe('unconfirmed');
    expect(await cleanUpAttempt(project.deps(empty), handle)).toBe('released');
  });

  it('removes the other containers beside one that cannot be removed', async () => {
    const { engine, left } = engineWith(
      ['a', 'stuck', 'b'].map((Id) => ({ Id, Labels, State: 'exited', Created: 0 })),
      (id) => {
        if (id === 'stuck') throw refusal(500, 'device or resource busy');
      },
    );
    await cleanUpAttempt(project.deps(engine), handle);
    expect(left()).toEqual(['stuck']);
  });

  it('is not held up by scratch that cannot be removed', async () => {
    const folders = project.layout.attempt(RUN.runId, 1);
    await mkdir(folders.inputs, { recursive: true });
    await mkdir(folders.temp);
    await chmod(folders.dir, 0o555);
    const { log, warnings } = listen();
    const deps = project.deps(engineWith([]).engine, { log });
    await asOrdinaryUser([project.layout.root], () => cleanUpAttempt(deps, handle));
    await chmod(folders.dir, 0o755);
    expect(warnings).toEqual(Array(2).fill('scratch of a run could not be removed'));
  });
});
