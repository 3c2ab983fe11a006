import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/backends/docker/engine.ts';
import { imageFacts } from '../../../src/backends/docker/image-facts.ts';
import { type DockerProject, fakeEngine, fakeImage, openDockerProject, refusal } from './docker-project.ts';

let project: DockerProject;
beforeEach(async () => {
  project = await openDockerProject();
});
afterEach(() => project.close());

/** An engine whose trials end as listed, one after the other: an exit code, or a refusal to start. */
function engineOfTrials(ends: (number | Error)[]): Engine {
  return fakeEngine({
    getImage: () =>
      fakeImage({ inspect: async () => ({ Id: 'sha256:a', Config: { Env: ['PYTHONPATH=/own'] } }) }),
    createContainer: async () => ({ id: 'trial' }),
    getContainer: () => {
      return {
        start: async () => {
          if (ends[0] instanceof Error) throw ends.shift();
        },
        wait: async () => ({ StatusCode: Number(ends.shift()) }),
        remove: async () => undefined,
      };
    },
  });
}

const remembered = () => readdir(project.layout.images).catch(() => []);
const noProgram = (says: string): Error =>
  refusal(400, `OCI runtime create failed: exec: "python3": ${says}`);

describe('whether an image has a Python', () => {
  it.each([
    ['it answers', 0, true],
    ['it is too old', 1, false],
    ['a shell finds none', 127, false],
    ['there is no such program', noProgram('executable file not found in $PATH: unknown'), false],
    ['its file is not there', noProgram('no such file or directory: unknown'), false],
  ])('is remembered where %s', async (_case, end, python) => {
    const deps = project.deps(engineOfTrials([end]));
    expect(await imageFacts(deps, 'sha256:a')).toEqual({ python, pythonPath: '/own' });
    expect(await remembered()).toEqual(['a.json']);
    expect(await imageFacts(deps, 'sha256:a')).toEqual({ python, pythonPath: '/own' });
  });

  it.each([
    ['it does not know what it is asked', 2],
    ['it may not be executed', 126],
    ['it crashes', 139],
    ['the engine finds the trial at fault', refusal(400, 'invalid mount config')],
  ])('is not remembered where %s', async (_case, end) => {
    const deps = project.deps(engineOfTrials([end, 0]));
    expect(await imageFacts(deps, 'sha256:a')).toEqual({ python: false, pythonPath: '/own' });
    expect(await remembered()).toEqual([]);
    expect(await imageFacts(deps, 'sha256:a')).toMatchObject({ python: true });
  });

  it('is not known where the trial was killed', async () => {
    const deps = project.deps(engineOfTrials([137, 0]));
    await expect(imageFacts(deps, 'sha256:a')).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'Whether the image has Python 3.8 or newer could not be found out: the trial was killed.',
      retryable: true,
    });
    expect(await remembered()).toEqual([]);
    expect(await imageFacts(deps, 'sha256:a')).toMatchObject({ python: true });
  });
});
