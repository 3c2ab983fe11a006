import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestProject, mountStages, type TestProject, until } from '../support/project.ts';

const LEDGER_STAGE = `
import os, time
import goldfish

info = goldfish.run_info()
line = f"{info['run_id']} {info['attempt']}\\n"
fd = os.open(goldfish.config()['ledger'], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(fd, line.encode())
os.close(fd)
time.sleep(0.3)
goldfish.save_output('done', {'stage': info['stage']})
`;

const STAGES = ['one', 'two', 'three', 'four'];
const PIPELINE = `name: ledger
stages:
  - name: one
    outputs: { done: json }
  - name: two
    inputs: { a: { from_stage: one, signal: done } }
    outputs: { done: json }
  - name: three
    inputs: { a: { from_stage: one, signal: done } }
    outputs: { done: json }
  - name: four
    inputs: { a: { from_stage: two, signal: done }, b: { from_stage: three, signal: done } }
    outputs: { done: json }
`;

describe('work goes on without a client', () => {
  let project: TestProject;
  beforeEach(() => {
    project = createTestProject({ config: 'process: { sandbox: none }\n' });
  });
  afterEach(() => project.dispose());

  it('completes the pipeline once after SIGKILL of the server right after run returned, with nobody reconnecting', async () => {
    const ledger = join(project.outside, 'ledger');
    const { client, workspace } = await mountStages(project, {
      pipeline: PIPELINE,
      modules: Object.fromEntries(STAGES.map((name) => [name, LEDGER_STAGE])),
      configs: Object.fromEntries(STAGES.map((name) => [name, `ledger: ${ledger}\n`])),
    });
    const submitted = await client.call('run', { workspace, reason: 'Survive the end of the server' });
    process.kill(client.serverPid!, 'SIGKILL');

    const id = String(submitted['pipeline_run_id']);
    const state = (): string | undefined =>
      project.rows<{ state: string }>('SELECT state FROM pipeline_runs WHERE id = ?', id)[0]?.state;
    await until(() => state() === 'completed', 45_000, 'the pipeline run completed');

    const later = await project.connect();
    const listed = await later.call('list_runs', { pipeline_run_id: id });
    const runs = listed['runs'] as { run_id: string; attempt: number; state: string }[];
    expect(runs.map((run) => run.state)).toEqual(['completed', 'completed', 'completed', 'completed']);
    const executed = readFileSync(ledger, 'utf8').trim().split('\n').sort();
    expect(executed).toEqual(runs.map((run) => `${run.run_id} ${run.attempt}`).sort());
  });
});
