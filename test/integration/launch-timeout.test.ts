import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { assetPath } from '../../src/core/assets.ts';
import { findProcesses } from '../contracts/backend-harness.ts';
import { containersOf, hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { createTestProject, mountStages, type TestProject, until, waitOver } from '../support/project.ts';
import { PYTHON } from '../support/run-wrapper.ts';

let home: string;
let project: TestProject;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'goldfish-launch-timeout-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await project.dispose();
  rmSync(home, { recursive: true, force: true });
});

/** A folder of PATH with a python3 under which the run wrapper takes a job and then hangs, as on a disk that does not answer. */
function hangingPython(): string {
  const runtime = join(home, 'runtime');
  cpSync(assetPath('runtime'), runtime, { recursive: true });
  const wrapper = join(runtime, 'run_wrapper.py');
  const hang = '        attempt.run()\n';
  const source = readFileSync(wrapper, 'utf8');
  expect(source).toContain(hang);
  writeFileSync(wrapper, source.replace(hang, `        time.sleep(300)\n${hang}`));
  const python = join(home, 'python3');
  const hangs = `*run_wrapper.py*) for last; do :; done; exec '${PYTHON}' -I -S -B '${wrapper}' "$last";;`;
  // Asked who it is, it names itself.
  const asks = `'${PYTHON}' "$@" | sed 's|"${PYTHON}"|"${python}"|'`;
  writeFileSync(python, `#!/bin/sh\ncase "$*" in ${hangs} esac\n${asks}\n`);
  chmodSync(python, 0o755);
  return home;
}

for (const backend of ['process', 'docker'] as const) {
  const needs = backend === 'docker' ? NEEDS_ENGINE : '';
  describe.skipIf(backend === 'docker' && !hasEngine)(
    `a run on ${backend} that does not begin${needs}`,
    () => {
      it('is ended after its time, and nothing of it is left that could begin later', async () => {
        vi.stubEnv('PATH', `${hangingPython()}:${process.env['PATH']}`);
        project = createTestProject({
          config: `defaults: { backend: ${backend}, launch_timeout_seconds: 5, stop_grace_seconds: 1 }
process: { sandbox: none }
docker: { base_image: '${TEST_IMAGE}' }
`,
        });
        const { client } = await mountStages(project, {
          pipeline: 'stages:\n  - { name: one, command: [echo, begun] }\n',
          modules: {},
        });
        const answer = await client.call('run', { workspace: 'exp', reason: 'See what is not begun' });
        const id = (answer['runs'] as { run_id: string }[])[0]?.run_id ?? '';
        const wrappers = () => findProcesses(`run_wrapper.py\0${project.root}`);
        await until(async () => (await wrappers()).length === 1, 20_000, 'the wrapper');
        await waitOver(client, id);
        expect(await client.call('inspect_run', { run_id: id })).toMatchObject({
          state: 'failed',
          cause: 'launch_failed',
          failure: { message: 'It did not begin within 5 s (defaults.launch_timeout_seconds).' },
        });
        await until(async () => (await wrappers()).length === 0, 10_000, 'its end');
        if (backend === 'docker') expect(await containersOf({ runId: id })).toEqual([]);
        expect(project.rows('SELECT 1 FROM run_attempts WHERE released_at IS NULL')).toEqual([]);
      });
    },
  );
}
