import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import type { ToolClient } from '../../../src/mcp/client.ts';
import { createTestProject, mountStages, type TestProject } from '../../support/project.ts';
import { until } from '../until.ts';
import { hasRentals, NEEDS_RENTALS } from './needs.ts';
import { openRentedRig, type RentedRig } from './rented-rig.ts';

const REASON = 'See what a death costs';
/** Says that it was begun, each time it is, and takes its time. */
const STAGE = `
import os, time, goldfish
print("begun", flush=True)
time.sleep(goldfish.config()["seconds"])
with open(os.path.join(os.environ["GOLDFISH_OUTPUTS"], "report.json"), "w") as file: file.write("{}")
print("ended", flush=True)
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
const linesOf = async (runId: string): Promise<string[]> => {
  const { lines } = (await client.call('logs', { run_id: runId, stream: 'stdout' })) as {
    lines: { text: string }[];
  };
  return lines.map(({ text }) => text);
};

async function keysOf(runId: string): Promise<string[]> {
  const { items = [] } = (await (await fetch(`${rig.emulator.url}/storage/v1/b/${rig.bucket}/o`)).json()) as {
    items?: { name: string }[];
  };
  return items.map(({ name }) => name).filter((name) => name.includes(runId));
}

const hasKey = async (runId: string, word: string): Promise<boolean> =>
  (await keysOf(runId)).some((key) => key.includes(word));

/** Ends the supervisor as a power cut would; whoever asks next starts another. */
function killSupervisor(): void {
  const pid = project.supervisorPid();
  if (pid === null) throw new Error('there is no supervisor');
  process.kill(pid, 'SIGKILL');
}

const idle = async (): Promise<boolean> => {
  const { workers } = (await client.call('warm_pool_status', {})) as { workers: { state: string }[] };
  return workers.every(({ state }) => state === 'idle_ready');
};

describe.skipIf(!hasRentals)(`a death while a run is on a rented machine${NEEDS_RENTALS}`, () => {
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

  it.each([
    [0, 'its job is in the bucket', (runId: string) => hasKey(runId, '/job.json')],
    [1, 'its machine is asked for', async () => rig.calls('instances.insert') > 0],
    [2, 'its machine has claimed it', (runId: string) => hasKey(runId, '/claims/')],
    [3, 'its program runs', async (runId: string) => (await inspect(runId)).state === 'running'],
    [4, 'its result is in the bucket', (runId: string) => hasKey(runId, '/exit.json')],
  ])(
    'of the supervisor when %s costs nothing: it is executed once',
    { timeout: 240_000 },
    async (number, what, came) => {
      const runId = await begin(4 + number / 100);
      await until(async () => (await came(runId)) || (await isOver(runId)), what, 120);
      killSupervisor();
      await until(() => isOver(runId), 'the end of the run', 180);
      expect(await inspect(runId)).toMatchObject({ state: 'completed', attempt: 1 });
      expect(await linesOf(runId)).toEqual(['begun', 'ended']);
      await until(idle, 'the machine to rest', 60);
      expect(rig.calls('instances.insert')).toBe(1);
    },
  );

  it('of the machine by preemption is told apart, and leaves no machine', { timeout: 240_000 }, async () => {
    const runId = await begin(300);
    await until(async () => (await inspect(runId)).state === 'running', 'the run to run', 120);
    const [machine] = rig.instances();
    rig.simulator.preempt(machine!);
    await until(() => isOver(runId), 'the end of the run', 180);
    expect(await inspect(runId)).toMatchObject({ state: 'terminated', cause: 'preempted' });
    await until(() => rig.instances().length === 0, 'the machine to be gone', 120);
    expect(rig.bills().every(({ endedAt }) => endedAt !== undefined)).toBe(true);
  });

  it('of the machine without a word ends the run, and its bill', { timeout: 240_000 }, async () => {
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
