import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import type { ToolClient } from '../../src/mcp/client.ts';
import { hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { createTestProject, mountStages, type TestProject, waitOver } from '../support/project.ts';

/** What each attempt finds and where it is goes from one to the next in the checkpoint, and at last into the output. */
const BEGINNING = `
import os, signal, socket, sys
import goldfish
from goldfish import checkpoints

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

info = goldfish.run_info()
found = goldfish.load_checkpoint()
seen = found['seen'] if found else []
seen.append({
    'attempt': info['attempt'],
    'step': found and found['step'],
    'place': [os.environ['GOLDFISH_OUTPUTS'], socket.gethostname()],
    # What was being saved has a random name.
    'names': sorted(name if name[0] != '.' else name[:10] for name in os.listdir(os.environ['GOLDFISH_CHECKPOINTS'])),
})
`;
const END = `
goldfish.save_checkpoint('state', {'step': 9, 'seen': seen})
left = sorted(os.listdir(os.environ['GOLDFISH_CHECKPOINTS']))
goldfish.save_output('report', {'seen': seen, 'left': left})
`;
const MODULES = {
  after: `${BEGINNING}
if info['attempt'] == 1:
    goldfish.save_checkpoint('state', {'step': 1, 'seen': seen}, step=1)
    die()
${END}`,
  during: `${BEGINNING}
if info['attempt'] == 1:
    goldfish.save_checkpoint('state', {'step': 1, 'seen': seen}, step=1)
    checkpoints.sync_tree = die
    goldfish.save_checkpoint('state', {'step': 2, 'seen': seen}, step=2)
${END}`,
  gives_up: `${BEGINNING}
wanted = goldfish.config()['wanted']
if not wanted:
    goldfish.save_checkpoint('state', {'step': 4, 'seen': seen}, step=4)
    goldfish.save_checkpoint('state', {'step': 5, 'seen': seen}, step=5)
    sys.exit(3)
seen[-1]['by_run'] = goldfish.load_checkpoint(wanted)['step']
goldfish.save_checkpoint('state', {'step': 6, 'seen': seen}, step=6)
goldfish.save_output('report', {'seen': seen, 'left': []})
`,
};
const PIPELINE = `stages:
  - { name: after, outputs: { report: json }, retries: { max_restarts: 1 } }
  - { name: during, outputs: { report: json }, retries: { max_restarts: 1 } }
  - { name: gives_up, outputs: { report: json } }
`;

type Seen = { attempt: number; step: number | null; place: string[]; names: string[]; by_run?: number };
type Report = { seen: Seen[]; left: string[] };
type Run = { run_id: string; stage: string };

for (const backend of ['process', 'docker'] as const) {
  const needs = backend === 'docker' ? NEEDS_ENGINE : '';
  describe.skipIf(backend === 'docker' && !hasEngine)(`a stage checkpoint on ${backend}${needs}`, () => {
    let project: TestProject;
    let client: ToolClient;
    let ids: Record<string, string>;

    beforeAll(async () => {
      project = createTestProject({
        config: `defaults: { backend: ${backend} }\ndocker: { base_image: '${TEST_IMAGE}' }\n`,
      });
      const configs = { gives_up: "wanted: ''\n" };
      const mounted = await mountStages(project, { pipeline: PIPELINE, modules: MODULES, configs });
      client = mounted.client;
      const answer = await client.call('run', { workspace: 'exp', reason: 'Kill them and see what is left' });
      ids = Object.fromEntries((answer['runs'] as Run[]).map((run) => [run.stage, run.run_id]));
      await waitOver(client, String(answer['pipeline_run_id']));
    }, 240_000);
    afterAll(() => project.dispose());

    const inspect = (runId: string) =>
      client.call('inspect_run', { run_id: runId, include: ['outputs', 'attempts'] });
    const reportOf = (run: Record<string, unknown>): Report => {
      const [output] = run['outputs'] as { path: string }[];
      return JSON.parse(readFileSync(join(project.root, String(output?.path)), 'utf8')) as Report;
    };
    const folderOf = (runId: string): string => join(project.root, '.goldfish/runs', runId, 'checkpoints');

    it('is there for the next attempt, elsewhere, when the program was killed right after it was saved', async () => {
      const run = await inspect(ids['after'] ?? '');
      expect(run).toMatchObject({ state: 'completed', cause: 'success', attempt: 2 });
      const [first, second] = reportOf(run).seen;
      expect(first).toMatchObject({ attempt: 1, step: null, names: [] });
      expect(second).toMatchObject({ attempt: 2, step: 1, names: ['00000001-state'] });
      expect(second?.place).not.toEqual(first?.place);
    });

    it('is none that a kill cut short: the one before it counts, and what is left of it goes', async () => {
      const run = await inspect(ids['during'] ?? '');
      expect(run).toMatchObject({ state: 'completed', cause: 'success', attempt: 2 });
      const { seen, left } = reportOf(run);
      expect(seen[1]).toMatchObject({ attempt: 2, step: 1, names: ['.saving-1-', '00000001-state'] });
      expect(left).toEqual(['00000001-state', '00000002-state']);
    });

    it('is what a retry goes on from, without touching those of the run it repeats', async () => {
      const before = ids['gives_up'] ?? '';
      expect(await inspect(before)).toMatchObject({ state: 'failed', exit_code: 3 });
      const answer = await client.call('retry', {
        run_id: before,
        reason: 'It gave up in the middle',
        from_checkpoint: 'latest',
        config_override: { gives_up: { wanted: before } },
      });
      expect(answer['from_checkpoint']).toEqual({
        run_id: before,
        checkpoint: '00000002-state',
        step: 5,
        count: 2,
      });
      await waitOver(client, String(answer['pipeline_run_id']));
      const [again] = answer['runs'] as Run[];
      const run = await inspect(String(again?.run_id));
      expect(run).toMatchObject({ state: 'completed', cause: 'success' });
      expect(reportOf(run).seen.at(-1)).toMatchObject({
        attempt: 1,
        step: 5,
        by_run: 5,
        names: ['00000001-state', '00000002-state', 'from'],
      });
      expect(readdirSync(folderOf(before)).sort()).toEqual(['00000001-state', '00000002-state']);
      expect(readdirSync(folderOf(String(again?.run_id))).sort()).toEqual([
        '00000001-state',
        '00000002-state',
        '00000003-state',
        'from',
      ]);
      const { edges } = await client.call('lineage', { ref: String(again?.run_id), direction: 'up' });
      expect(edges).toContainEqual({
        from: before,
        to: again?.run_id,
        kind: 'checkpoint',
        name: '00000002-state',
      });
    });
  });
}
