import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { createTestProject, mountStages, type TestProject } from '../../support/project.ts';
import { until } from '../until.ts';
import { hasRentals, NEEDS_RENTALS } from './needs.ts';
import { openRentedRig, type RentedRig } from './rented-rig.ts';

/** Saves one checkpoint after the other and keeps the newest, then waits for its end. */
const STAGE = `
import time, goldfish
for step in range(3):
    goldfish.save_checkpoint("state", {"step": step}, step=step, keep=1)
    time.sleep(3)
goldfish.save_checkpoint("other", {"step": 0})
while not goldfish.should_stop(): time.sleep(0.1)
`;

let rig: RentedRig | undefined;
let project: TestProject | undefined;

describe.skipIf(!hasRentals)(`checkpoints of a run on a rented machine${NEEDS_RENTALS}`, () => {
  beforeAll(async () => {
    rig = await openRentedRig();
    project = createTestProject({
      config: `docker: { base_image: '${TEST_IMAGE}' }\ndefaults: { log_sync_interval: 1 }\n${rig.yaml()}`,
    });
  }, 120_000);
  afterAll(async () => {
    await project?.dispose();
    await rig?.close();
  }, 120_000);

  it('are here as its stage keeps them, while it runs and afterwards', { timeout: 240_000 }, async () => {
    const { client } = await mountStages(project!, {
      pipeline: 'name: keep\nstages:\n  - name: keep\n    outputs: {}\n',
      modules: { keep: STAGE },
      configs: { keep: 'compute: { backend: gce }\n' },
    });
    const reason = 'See what is kept of checkpoints';
    const { runs } = (await client.call('run', { workspace: 'exp', reason })) as {
      runs: { run_id: string }[];
    };
    const run_id = runs[0]!.run_id;
    const seen = new Set<string>();
    const here = (): string[] => {
      const folder = join(project!.root, '.goldfish/runs', run_id, 'checkpoints');
      const names = existsSync(folder) ? readdirSync(folder) : [];
      for (const name of names) seen.add(name);
      return names.filter((name) => !name.startsWith('.')).sort();
    };
    const kept = ['00000003-state', '00000004-other'];
    await until(() => `${here()}` === `${kept}`, 'the checkpoints that are kept', 120);
    expect(await client.call('inspect_run', { run_id })).toMatchObject({ state: 'running' });
    await client.call('cancel', { target: run_id, reason });
    const state = async (): Promise<unknown> => (await client.call('inspect_run', { run_id }))['state'];
    await until(async () => (await state()) === 'canceled', 'the end of the run', 120);
    expect(here()).toEqual(kept);
    // There was one to be removed here.
    expect([...seen].some((name) => /^0000000[12]-state$/.test(name))).toBe(true);
  });
});
