import { mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { previewRun } from '../../src/runs/plan-preview.ts';
import { withLock } from '../../src/store/lock.ts';
import {
  type PreparedProject,
  prepareRunsProject,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareRunsProject({ files: THREE_STAGES });
}, 60_000);
afterAll(() => prepared.dispose());
beforeEach(async () => {
  project = await prepared.open({ live: true });
});
afterEach(() => project.dispose());

const request = { workspace: 'exp', reason: 'A look while another call moves the files', useCache: true };
const pipeline = (): string => join(project.deps.layout.slot('w1'), 'pipeline.yaml');

/** Another call moves a file out of the slot just before the first look of `work`, and back once it has looked. */
async function whileHalfThere<T>(work: () => Promise<T>, beside: string): Promise<T> {
  const { workspaces, layout, clock } = project.deps;
  const away = join(layout.slots, beside);
  const seen = Promise.withResolvers<void>();
  let looks = 0;
  const moveOut = (): void => {
    mkdirSync(away);
    renameSync(pipeline(), join(away, 'pipeline.yaml'));
  };
  project.deps.workspaces = {
    ...workspaces,
    lookAt: (of, look) =>
      workspaces.lookAt(of, () => {
        looks += 1;
        if (looks === 1) moveOut();
        return look().finally(() => seen.resolve());
      }),
  };
  const other = withLock(layout.slotLock('w1'), { clock, what: 'w1' }, async () => {
    await seen.promise;
    renameSync(join(away, 'pipeline.yaml'), pipeline());
    rmdirSync(away);
  });
  const result = await work();
  await other;
  expect(looks).toBe(2);
  return result;
}

/** Whether the slot shows that it is being emptied, or looks whole until it is read. */
const PLACES = ['.w1.leaving', '.w1.unseen'];

describe('a slot that another call is just filling or emptying', () => {
  it.each(PLACES)(
    'is not told as wrong: a call of run waits until the files are whole (%s)',
    async (beside) => {
      const { deduplicated, version } = await whileHalfThere(() => project.submit(), beside);
      expect({ deduplicated, version: version.version }).toEqual({ deduplicated: true, version: 1 });
    },
  );

  it.each(PLACES)('nor by a look before the run (%s)', async (beside) => {
    const preview = await whileHalfThere(() => previewRun(project.deps, request), beside);
    expect(preview).toMatchObject({ version: 1, versionCreated: false });
  });

  it('is told as wrong when it stays so', async () => {
    renameSync(pipeline(), `${pipeline()}.away`);
    await expect(project.submit()).rejects.toMatchObject({ code: 'INVALID_PIPELINE' });
    await expect(previewRun(project.deps, request)).rejects.toMatchObject({ code: 'INVALID_PIPELINE' });
  });
});
