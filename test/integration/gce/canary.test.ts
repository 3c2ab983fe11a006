import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { docker } from '../../contracts/docker-under-test.ts';
import { createTestProject, mountStages, type TestProject } from '../../support/project.ts';
import { until } from '../until.ts';
import { hasRentals, NEEDS_RENTALS } from './needs.ts';
import { openRentedRig, type RentedRig } from './rented-rig.ts';

const REASON = 'See where a secret can be read';
/** Prints its secret in some ways, whole and in halves, tells it wherever a stage tells something, and takes its time. */
const STAGE = `
import base64, json, os, sys, time, goldfish
value = os.environ["TOKEN"]
goldfish.log_metric("loss of " + value, 0.5)
goldfish.log_metric("nothing of " + value, float("nan"))
goldfish.progress(0.5, "half way with " + value)
control, outputs = os.environ["GOLDFISH_CONTROL"], os.environ["GOLDFISH_OUTPUTS"]
with open(os.path.join(control, "metrics.jsonl"), "a") as file:
    file.write(json.dumps({"name": "text", "value": value}) + "\\n" + value + "\\n")
for place in (control, outputs):
    with open(os.path.join(place, value), "w") as file: file.write(value)
for _ in range(8):
    goldfish.heartbeat("alive with " + value)
    print("it is", value, flush=True)
    print(json.dumps({"token": value}), base64.b64encode(value.encode()).decode(), file=sys.stderr, flush=True)
    half = len(value) // 2
    os.write(1, value[:half].encode()); time.sleep(0.2); os.write(1, value[half:].encode() + b"\\n")
    time.sleep(1)
with open(os.path.join(outputs, "report.json"), "w") as file: file.write("{}")
`;

let rig: RentedRig | undefined;
let project: TestProject | undefined;
afterEach(async () => {
  await project?.dispose();
  await rig?.close();
});

describe.skipIf(!hasRentals)(`a secret of a run on a rented machine${NEEDS_RENTALS}`, () => {
  it('reaches its program, and is found nowhere else', { timeout: 300_000 }, async () => {
    const secret = `canary-${randomBytes(24).toString('hex')}`;
    const words = [secret, Buffer.from(secret).toString('base64').replace(/=+$/, ''), secret.slice(12, 44)];
    const seen = new Set<string>();
    const note = (place: string, text: string): void => {
      if (words.some((word) => text.includes(word))) seen.add(place);
    };
    rig = await openRentedRig();
    project = createTestProject({
      config: `docker: { base_image: '${TEST_IMAGE}' }\n${rig.yaml({ enabled: true, max_instances: 1 })}`,
    });
    project.write('.env', `TOKEN=${secret}\n`);
    chmodSync(join(project.root, '.env'), 0o600);
    const { client } = await mountStages(project, {
      pipeline: 'name: tell\nstages:\n  - name: tell\n    outputs: { report: json }\n',
      modules: { tell: STAGE },
      configs: { tell: `compute: { backend: gce }\nenvironment: { TOKEN: '$\{env:TOKEN}' }\n` },
    });
    const { runs } = (await client.call('run', { workspace: 'exp', stages: ['tell'], reason: REASON })) as {
      runs: { run_id: string }[];
    };
    const runId = runs[0]!.run_id;
    const keys = new Set<string>();
    let inspected = 0;
    const look = async (): Promise<boolean> => {
      for (const [key, text] of await objectsOf(rig!)) {
        keys.add(
          key
            .replace(/^gf-[0-9a-f]+\//, '')
            .split('/')
            .at(3) ?? key,
        );
        note(`bucket: ${key}`, text);
        note('names in the bucket', key);
      }
      for (const instance of rig!.simulator.instances()) {
        note('metadata', JSON.stringify(instance));
        note('serial port', await rig!.serial(instance));
      }
      for (const text of await inspectMachines(rig!)) {
        inspected += 1;
        note('docker inspect', text);
      }
      const { state } = (await client.call('inspect_run', { run_id: runId })) as { state: string };
      return ['completed', 'failed', 'terminated', 'canceled'].includes(state);
    };
    await until(look, 'the end of the run', 240);
    const include = ['metrics', 'attempts', 'events', 'debug'];
    const run = await client.call('inspect_run', { run_id: runId, include });
    note('answers', JSON.stringify(run));
    const logs = await client.call('logs', { run_id: runId, tail: 200 });
    note('logs', JSON.stringify(logs));
    for (const file of filesBelow(project.root)) {
      if (!file.endsWith('/.env')) note(`file: ${file}`, readFileSync(file, 'latin1'));
    }
    expect([...seen]).toEqual([]);
    // It was there to be found, and these places were looked at.
    expect(run['state']).toBe('completed');
    expect(JSON.stringify(logs)).toContain('it is ***');
    expect(JSON.stringify(run)).toContain('loss of ***');
    expect(JSON.stringify(run['findings'])).toContain('nothing of ***');
    expect(run['progress_message']).toContain('half way with ***');
    expect(inspected).toBeGreaterThan(0);
    expect([...keys]).toEqual(expect.arrayContaining(['sealed', 'job.json', 'log', 'control', 'exit.json']));
  });
});

async function objectsOf({ emulator, bucket }: RentedRig): Promise<[string, string][]> {
  const base = `${emulator.url}/storage/v1/b/${bucket}/o`;
  const { items = [] } = (await (await fetch(base)).json()) as { items?: { name: string }[] };
  return Promise.all(
    items.map(async ({ name }): Promise<[string, string]> => {
      const answer = await fetch(`${base}/${encodeURIComponent(name)}?alt=media`);
      return [name, Buffer.from(await answer.arrayBuffer()).toString('latin1')];
    }),
  );
}

async function inspectMachines({ machineLabel }: RentedRig): Promise<string[]> {
  const found = await docker.listContainers({ all: true, filters: { label: [machineLabel] } });
  const looks = await Promise.allSettled(found.map(({ Id }) => docker.getContainer(Id).inspect()));
  // One may be gone since then.
  return looks.flatMap((one) => (one.status === 'fulfilled' ? [JSON.stringify(one.value)] : []));
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
  );
}
