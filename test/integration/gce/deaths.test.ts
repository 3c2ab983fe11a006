import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import type { ToolClient } from '../../../src/mcp/client.ts';
import { createTestProject, mountStages, type TestProject } from '../../support/project.ts';
import { until } from '../until.ts';
import { hasRentals, NEEDS_RENTALS } from './needs.ts';
import { openRentedRig, type RentedRig } from './rented-rig.ts';

const REASON = 'See what a lost machine costs';
/** Takes its time. */
const STAGE = `
import os, time, goldfish
time.sleep(goldfish.config()["seconds"])
with open(os.path.join(os.environ["GOLDFISH_OUTPUTS"], "report.json"), "w") as file: file.write("{}")
`;

/** What is taken back is rented at the spot price. */
const SPOT = { profile_overrides: { 'cpu-small': { provisioning: ['spot'] } } };

let rig: RentedRig;
let project: TestProject;
let client: ToolClient;

/** A run of its own: the same call again would be answered from what there is. */
async function begin(seconds: number): Promise<string> {
  const { runs } = (await client.call('run', {
    workspace: 'exp',
    reason: REASON,
    config_override: { tell: { seconds } },
  })) as { runs: { run_id: string }[] };
  return runs[0]!.run_id;
}

type Seen = { state: string; cause: string | null; attempt: number };
const inspect = async (runId: string): Promise<Seen> =>
  (await client.call('inspect_run', { run_id: runId })) as Seen;
const isOver = async (runId: string): Promise<boolean> =>
  ['completed', 'failed', 'terminated', 'canceled'].includes((await inspect(runId)).state);

describe.skipIf(!hasRentals)(`a machine that is lost while it executes a run${NEEDS_RENTALS}`, () => {
  beforeAll(async () => {
    rig = await openRentedRig();
    project = createTestProject({
      config: `docker: { base_image: '${TEST_IMAGE}' }\n${rig.yaml({ enabled: true, max_instances: 1 }, SPOT)}`,
    });
    ({ client } = await mountStages(project, {
      pipeline: 'name: tell\nstages:\n  - name: tell\n    outputs: { report: json }\n',
      modules: { tell: STAGE },
      configs: { tell: 'seconds: 0\ncompute: { backend: gce }\n' },
    }));
  }, 120_000);
  afterAll(async () => {
    await project?.dispose();
    await rig?.close();
  }, 120_000);

  it('by preemption is told apart, and leaves no machine', { timeout: 240_000 }, async () => {
    const runId = await begin(300);
    await until(async () => (await inspect(runId)).state === 'running', 'the run to run', 120);
    const [machine] = rig.instances();
    rig.simulator.preempt(machine!);
    await until(() => isOver(runId), 'the end of the run', 180);
    expect(await inspect(runId)).toMatchObject({ state: 'terminated', cause: 'preempted' });
    await until(() => rig.instances().length === 0, 'the machine to be gone', 120);
    expect(rig.bills().every(({ endedAt }) => endedAt !== undefined)).toBe(true);
  });

  it('without a word ends the run, and its bill', { timeout: 240_000 }, async () => {
    const runId = await begin(301);
    await until(async () => (await inspect(runId)).state === 'running', 'the run to run', 120);
    const [machine] = rig.instances();
    rig.simulator.vanish(machine!);
    await until(() => isOver(runId), 'the end of the run', 180);
    expect(await inspect(runId)).toMatchObject({ state: 'terminated', cause: 'worker_lost' });
    await until(() => rig.instances().length === 0, 'the machine to be gone', 120);
    const { remains } = rig;
    await until(async () => (await remains()).length === 0, 'its container to be gone', 60);
  });
});
