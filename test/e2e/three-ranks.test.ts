import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ToolClient } from '../../src/mcp/client.ts';
import { createTestProject, mountStages, type TestProject, waitOver } from '../support/project.ts';

/** Beats ten times a second, as a rank does that is well; `deeds` is what each rank does besides. */
const stage = (deeds: string): string => `
import os, sys, threading, time
control, rank = os.environ['GOLDFISH_CONTROL'], os.environ['GOLDFISH_RANK']
quiet = threading.Event()
def beat():
    while not quiet.is_set():
        open(control + '/heartbeat', 'w').close()
        time.sleep(0.1)
threading.Thread(target=beat, daemon=True).start()
if rank == '0':
    open(os.environ['GOLDFISH_OUTPUTS'] + '/report.json', 'w').write('{"from": 0}')
    open(control + '/metrics.jsonl', 'a').write('{"name": "loss", "value": 0.25}\\n')
else:
    open(os.environ['GOLDFISH_OUTPUTS'] + '/report.json', 'w').write('{"from": "another"}')
print('here', flush=True)
${deeds}
`;

const STAGES = {
  silent: stage("if rank == '1': quiet.set()\ntime.sleep(120)"),
  failing: stage("if rank == '2': time.sleep(0.5); sys.exit(3)\ntime.sleep(120)"),
  // It goes on for longer than a heartbeat may be missing after the others, who are silent, have ended.
  slow: stage("if rank == '1': time.sleep(7); print('slow', flush=True)"),
};

let project: TestProject;
let client: ToolClient;
let runs: Map<string, Record<string, unknown>>;

beforeAll(async () => {
  project = createTestProject({ config: 'process: { max_parallel: 3 }\n' });
  const outputs = 'outputs: { report: json }';
  const mounted = await mountStages(project, {
    pipeline: `stages:\n${Object.keys(STAGES)
      .map((name) => `  - { name: ${name}, ${outputs} }\n`)
      .join('')}`,
    modules: STAGES,
    configs: Object.fromEntries(
      Object.keys(STAGES).map((name) => [name, 'compute: { nodes: 3, heartbeat_timeout_seconds: 4 }\n']),
    ),
  });
  client = mounted.client;
  const answer = await client.call('run', { workspace: 'exp', reason: 'See how three ranks end' });
  await waitOver(client, String(answer['pipeline_run_id']));
  runs = new Map();
  for (const { run_id: id, stage: name } of answer['runs'] as { run_id: string; stage: string }[]) {
    runs.set(name, await client.call('inspect_run', { run_id: id, include: ['metrics', 'outputs'] }));
  }
}, 180_000);
afterAll(() => project.dispose());

it('a silent rank ends all three, and is named', () => {
  expect(runs.get('silent')).toMatchObject({ state: 'terminated', cause: 'heartbeat_lost' });
  expect(JSON.stringify(runs.get('silent'))).toContain(
    'The heartbeat of rank 1 stopped: no new one came for 4 s.',
  );
});

it('a failing rank ends all three, and is named', () => {
  expect(runs.get('failing')).toMatchObject({ state: 'failed', cause: 'exit_nonzero', exit_code: 3 });
  expect(JSON.stringify(runs.get('failing'))).toContain(
    'Rank 2 ended with exit code 3; the others were stopped.',
  );
});

it('a slow rank is waited for; outputs and metrics are those of rank 0', async () => {
  const slow = runs.get('slow') ?? {};
  expect(slow).toMatchObject({ state: 'completed', cause: 'success', exit_code: 0 });
  const [output] = slow['outputs'] as { path: string }[];
  expect(readFileSync(join(project.root, String(output?.path)), 'utf8')).toBe('{"from": 0}');
  expect(slow['metrics']).toMatchObject({ loss: { last: 0.25, count: 1 } });
  const logs = await client.call('logs', { run_id: String(slow['run_id']) });
  const texts = (logs['lines'] as { text: string }[]).map((line) => line.text).sort();
  expect(texts).toEqual(['[rank 0] here', '[rank 1] here', '[rank 1] slow', '[rank 2] here']);
});
