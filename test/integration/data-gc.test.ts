import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { collectGarbage } from '../../src/data/gc.ts';
import { createDataProject, type DataProject } from '../data/data-project.ts';
import { anyPast, makePast } from '../data/garbage-project.ts';
import { createTestClock } from '../support/test-clock.ts';

const opened: DataProject[] = [];
afterEach(async () => {
  for (const project of opened.splice(0)) await project.dispose();
});

/** Its clock is a hundred days ahead: what the kernel dates now is old. */
async function openProject(config?: string): Promise<DataProject> {
  const { clock } = createTestClock(systemClock.now() + 100 * 86_400_000);
  const project = await createDataProject({ clock, ...(config === undefined ? {} : { config }) });
  opened.push(project);
  return project;
}

it('frees of 500 runs what its rules say and nothing that is needed', async () => {
  await fc.assert(
    fc.asyncProperty(anyPast, async (past) => {
      const project = await openProject();
      const expected = makePast(project, past);
      const there = (path: string): boolean => existsSync(join(project.deps.layout.stateDir, path));
      expect([...expected.keys()].filter((path) => !there(path))).toEqual([]);

      const planned = await collectGarbage(project.deps, { dryRun: true });
      expect(planned.problems).toEqual([]);
      expect([...expected.keys()].filter((path) => !there(path))).toEqual([]);

      const done = await collectGarbage(project.deps, { dryRun: false });
      expect({ ...done, stateBytes: 0 }).toEqual({ ...planned, dryRun: false, stateBytes: 0 });
      const wrong = [...expected].filter(([path, stays]) => there(path) !== stays);
      expect(wrong.map(([path, stays]) => `${path} ${stays ? 'is gone' : 'is still there'}`)).toEqual([]);

      const again = await collectGarbage(project.deps, { dryRun: false });
      expect(again.freed).toEqual([]);
    }),
    { numRuns: 2, endOnFailure: true },
  );
}, 240_000);
