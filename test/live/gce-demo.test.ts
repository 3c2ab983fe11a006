import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import type { ToolClient } from '../../src/mcp/client.ts';
import { goldfish } from '../integration/cli-program.ts';
import { createTestProject, type TestProject, until, waitOver } from '../support/project.ts';
import { empty, type Place, removeMachines, storageOf, untilGone } from './left-overs.ts';
import { liveProject, MISSING, NEEDS_PROJECT } from './live-project.ts';

const REASON = 'The demo on a rented machine';
/** Waits of 20 s each: an image to push, a machine to boot and four stages, with much patience. */
const WAITS = 120;

/** By stage and output: its content's hash. */
type Outputs = Record<string, Record<string, string>>;

/** A client of the project, with the demo's pipeline in a slot. */
async function openDemo(project: TestProject): Promise<ToolClient> {
  const client = await project.connect();
  const goal = 'See that a rented machine computes the same';
  await client.call('create_workspace', { name: 'penguins', goal, reason: REASON });
  const mounted = await client.call('mount', { workspace: 'penguins', reason: REASON });
  const slot = join(project.root, String(mounted['path']));
  for (const name of ['modules', 'configs', 'pipeline.yaml'])
    rmSync(join(slot, name), { recursive: true, force: true });
  cpSync(assetPath('examples/penguins'), slot, { recursive: true });
  return client;
}

/** All of it anew, whatever was made before. */
async function execute(client: ToolClient): Promise<{ outputs: Outputs; seconds: number }> {
  const began = performance.now();
  const submitted = await client.call('run', { workspace: 'penguins', reason: REASON, use_cache: false });
  const id = String(submitted['pipeline_run_id']);
  await waitOver(client, id, WAITS);
  const seconds = Math.round((performance.now() - began) / 1000);
  const { runs } = await client.call('list_runs', { pipeline_run_id: id });
  const outputs: Outputs = {};
  for (const { run_id, stage, state, cause } of runs as Record<string, string>[]) {
    expect({ stage, state, cause }).toEqual({ stage, state: 'completed', cause: 'success' });
    const details = await client.call('inspect_run', { run_id });
    const made = details['outputs'] as { name: string; hash: string }[];
    outputs[stage!] = Object.fromEntries(made.map(({ name, hash }) => [name, hash]));
  }
  return { outputs, seconds };
}

describe.skipIf(MISSING.length > 0)(`rented machines of a real project${NEEDS_PROJECT}`, () => {
  const live = MISSING.length > 0 ? undefined : liveProject();
  const rented = live && createTestProject({ config: live.config });
  const here = live && createTestProject({ config: 'defaults: { backend: process }\n' });
  const places = (): Place[] => rented!.rows('SELECT id, zone FROM workers WHERE zone IS NOT NULL');

  afterAll(async () => {
    if (live === undefined) return;
    const all = places();
    await removeMachines(live, all);
    await rented?.dispose();
    await here?.dispose();
    await untilGone(live, all);
    await empty(storageOf(live));
  });

  it('pass the doctor', async () => {
    const { code, out, err } = await goldfish(['doctor', '--gce'], { cwd: rented!.root });
    console.log(`${out}${err}`);
    expect(code).toBe(0);
  });

  it('run the demo twice on one machine, with the outputs that this machine makes', async () => {
    const client = await openDemo(rented!);
    const cold = await execute(client);
    const warm = await execute(client);
    console.log(`cold: ${cold.seconds} s, warm: ${warm.seconds} s`);
    const local = await execute(await openDemo(here!));
    expect(Object.keys(local.outputs)).toHaveLength(4);
    expect(cold.outputs).toEqual(local.outputs);
    expect(warm.outputs).toEqual(local.outputs);
    expect(places()).toHaveLength(1);
  });

  it('are gone with their disks when they were not needed for a minute', async () => {
    expect(places()).toHaveLength(1);
    await untilGone(live!, places());
    const states = () => rented!.rows<{ state: string }>('SELECT state FROM workers');
    await until(() => states().every(({ state }) => state === 'gone'), 120_000, 'the end of its row');
  });
});
