import { afterEach, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import type { ToolClient } from '../../../src/mcp/client.ts';
import { createTestProject, mountStages, type TestProject } from '../../support/project.ts';
import { until } from '../until.ts';
import { hasLoopDevices, hasRentals, NEEDS_LOOP_DEVICES, NEEDS_RENTALS } from './needs.ts';
import { openRentedRig, type RentedRig } from './rented-rig.ts';

/** Looks at the disk, which is a small one whatever was asked for, and leaves something there. */
const STAGE = `
import os, shutil
print("found", sorted(os.listdir("/mnt/cache")), flush=True)
print("small", shutil.disk_usage("/mnt/cache").total < 100_000_000, flush=True)
os.makedirs("/mnt/cache/deep/.hidden")
with open("/mnt/cache/deep/left", "w") as file: file.write("x" * 1_000_000)
with open(os.path.join(os.environ["GOLDFISH_OUTPUTS"], "report.json"), "w") as file: file.write("{}")
`;

let rig: RentedRig | undefined;
let project: TestProject | undefined;
afterEach(async () => {
  await project?.dispose();
  await rig?.close();
});

async function runToEnd(client: ToolClient, number: number): Promise<{ state: unknown; lines: string[] }> {
  const { runs } = (await client.call('run', {
    workspace: 'exp',
    reason: 'See what is on the disk',
    // The same call again would be answered from what there is.
    config_override: { tell: { number } },
  })) as { runs: { run_id: string }[] };
  const runId = runs[0]!.run_id;
  let state: unknown;
  const isOver = async (): Promise<boolean> => {
    ({ state } = await client.call('inspect_run', { run_id: runId }));
    return ['completed', 'failed', 'terminated', 'canceled'].includes(String(state));
  };
  await until(isOver, `the end of run ${number}`, 240);
  const { lines } = (await client.call('logs', { run_id: runId })) as { lines: { text: string }[] };
  return { state, lines: lines.map(({ text }) => text) };
}

describe.skipIf(!hasRentals || !hasLoopDevices)(
  `a data disk of a rented machine${NEEDS_RENTALS || NEEDS_LOOP_DEVICES}`,
  () => {
    it('is a folder that the stage may write to, and is empty for the next one', {
      timeout: 600_000,
    }, async () => {
      rig = await openRentedRig();
      const data_disks = [{ name: 'cache', size_gb: 100, mount: '/mnt/cache' }];
      const sections = rig.yaml(
        { enabled: true, max_instances: 1 },
        { profile_overrides: { 'cpu-small': { data_disks } } },
      );
      project = createTestProject({ config: `docker: { base_image: '${TEST_IMAGE}' }\n${sections}` });
      const { client } = await mountStages(project, {
        pipeline: 'name: tell\nstages:\n  - name: tell\n    outputs: { report: json }\n',
        modules: { tell: STAGE },
        configs: { tell: 'number: 0\ncompute: { backend: gce }\n' },
      });
      for (const number of [1, 2]) {
        const { state, lines } = await runToEnd(client, number);
        expect([number, state]).toEqual([number, 'completed']);
        expect(lines).toEqual(expect.arrayContaining(['found []', 'small True']));
      }
      // Both were on one machine, and so on one disk.
      expect(rig.calls('instances.insert')).toBe(1);
    });
  },
);
