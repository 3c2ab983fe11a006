import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { previewRun } from '../../src/runs/plan-preview.ts';
import { outputsOfRun } from '../../src/store/signals.ts';
import { createRunsProject, type RunsProject, THREE_STAGES } from '../support/runs-project.ts';

let project: RunsProject;
let one: string;
beforeEach(async () => {
  project = await createRunsProject({ files: THREE_STAGES });
  const { pipelineRun } = await project.submit();
  await project.tick();
  one = project.runOf(pipelineRun.id, 'one').id;
  await project.complete(one, { a: { k: 1 } });
  await project.complete(project.runOf(pipelineRun.id, 'two').id, { b: {} });
  await project.complete(project.runOf(pipelineRun.id, 'lone').id, { c: {} });
  const [output] = outputsOfRun(project.db, one);
  rmSync(project.deps.storage.localPath(output?.storageLocation ?? '') ?? '');
});
afterEach(() => project.dispose());

const again = { configOverride: { two: { depth: 4 } } };

describe('a run whose stored output is lost', () => {
  it('is not reused: its stage runs again, and what it feeds completes', async () => {
    const { pipelineRun } = await project.submit(again);
    const made = project.runOf(pipelineRun.id, 'one');
    expect(made).toMatchObject({ state: 'pending', cacheReason: `what ${one} stored is no longer there` });
    await project.tick();
    await project.complete(made.id, { a: { k: 1 } });
    await project.tick();
    await project.complete(project.runOf(pipelineRun.id, 'two').id, { b: {} });
    expect(project.runOf(pipelineRun.id, 'two').state).toBe('completed');
    expect(project.runOf(pipelineRun.id, 'lone').cause).toBe('cached');
  });

  it('makes an equal call another one, which makes it anew', async () => {
    const { pipelineRun, deduplicated } = await project.submit();
    expect(deduplicated).toBe(false);
    expect(project.runOf(pipelineRun.id, 'one').state).toBe('pending');
    expect(project.runOf(pipelineRun.id, 'lone').cause).toBe('cached');
  });

  it('is no input either: a call that would read it is refused with the call that makes it anew', async () => {
    const request = { workspace: 'exp', reason: 'A test', useCache: true, stages: ['two'], ...again };
    await expect(previewRun(project.deps, request)).rejects.toMatchObject({
      code: 'INPUT_UNAVAILABLE',
      message: `Input "a" of two needs "a" of one, and what ${one} stored is no longer there.`,
      fix: { tool: 'run', arguments: { workspace: 'exp', stages: ['one'] } },
    });
  });
});
