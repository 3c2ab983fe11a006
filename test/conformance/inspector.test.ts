import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { start } from '../integration/cli-program.ts';
import { createTestProject, mountStages, type TestProject, waitOver } from '../support/project.ts';

const INSPECTOR = assetPath('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');
const REASON = 'Seen through the Inspector';

type Listed = { name: string; outputSchema: Record<string, unknown> };
type Answer = { isError?: boolean; structuredContent?: Record<string, unknown> };

let project: TestProject;
let listed: Listed[];
let ids: { prun: string; other: string; failed: string; run: string };

/** One call of the Inspector's command line. */
async function inspect(method: string, ...words: string[]): Promise<unknown> {
  const server = [process.execPath, assetPath('bin/goldfish.js'), 'serve', '--toolsets', 'all'];
  const { code, out, err } = await start(
    [process.execPath, INSPECTOR, '--cli', ...server, '--method', method, ...words],
    { cwd: project.root, stdin: '' },
  ).ended;
  // 5: the tool refused; the answer is there all the same.
  expect([0, 5], `${words.join(' ')}: ${err}`).toContain(code);
  return JSON.parse(out);
}

async function callTool(name: string, args: Record<string, unknown>): Promise<Answer> {
  const words = Object.entries(args).flatMap(([key, value]) => [
    '--tool-arg',
    `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  ]);
  return (await inspect('tools/call', '--tool-name', name, ...words)) as Answer;
}

beforeAll(async () => {
  project = createTestProject();
  const { client } = await mountStages(project, {
    pipeline: `name: two
stages:
  - name: make
    outputs: { numbers: json }
  - name: fail
    inputs: { numbers: { from_stage: make, signal: numbers } }
    outputs: { never: json }
`,
    modules: {
      make: 'import goldfish\ngoldfish.log_metric("n", 3)\ngoldfish.save_output("numbers", [1, 2, 3])\n',
      fail: 'raise SystemExit("not today")\n',
    },
  });
  const first = await client.call('run', { workspace: 'exp', reason: REASON });
  await waitOver(client, String(first['pipeline_run_id']));
  const second = await client.call('run', {
    workspace: 'exp',
    reason: REASON,
    stages: ['make'],
    use_cache: false,
  });
  await waitOver(client, String(second['pipeline_run_id']));
  const { runs } = await client.call('list_runs', { pipeline_run_id: first['pipeline_run_id'] });
  const rows = runs as { run_id: string; stage: string }[];
  const idOf = (stage: string): string => rows.find((row) => row.stage === stage)?.run_id ?? '';
  ids = {
    prun: String(first['pipeline_run_id']),
    other: String(second['pipeline_run_id']),
    run: idOf('make'),
    failed: idOf('fail'),
  };
  project.write('data/numbers.csv', 'a,b\n1,2\n');
  listed = ((await inspect('tools/list')) as { tools: Listed[] }).tools;
}, 180_000);
afterAll(async () => {
  await project.dispose();
});

/** Arguments for every tool, in an order in which each finds what it needs; and the refusal of one that has nothing to work on here. */
const CALLS: [name: string, args: () => Record<string, unknown>, refusal?: string][] = [
  ['status', () => ({})],
  ['create_workspace', () => ({ name: 'second', goal: 'Be deleted', reason: REASON })],
  ['list_workspaces', () => ({})],
  ['inspect_workspace', () => ({ workspace: 'exp' })],
  ['mount', () => ({ workspace: 'second', reason: REASON })],
  ['checkpoint', () => ({ slot: 'w1', message: 'By the Inspector' })],
  ['list_versions', () => ({ workspace: 'exp' })],
  ['diff', () => ({ target: 'exp@v2' })],
  ['tag', () => ({ ref: 'exp@v2', tag: 'seen' })],
  ['rollback', () => ({ slot: 'w1', version: 'v1', reason: REASON })],
  ['prune_versions', () => ({ workspace: 'exp', reason: REASON, versions: ['v1'] })],
  ['hibernate', () => ({ slot: 'w2', reason: REASON })],
  ['delete_workspace', () => ({ workspace: 'second', reason: REASON })],
  ['validate', () => ({ workspace: 'exp' })],
  ['run', () => ({ workspace: 'exp', reason: REASON, dry_run: true })],
  ['list_runs', () => ({ limit: 5 })],
  ['inspect_run', () => ({ run_id: ids.failed })],
  ['logs', () => ({ run_id: ids.failed })],
  ['metrics', () => ({ run_ids: [ids.run] })],
  ['wait', () => ({ targets: [ids.prun] })],
  ['cancel', () => ({ target: ids.prun, reason: REASON })],
  ['retry', () => ({ run_id: ids.failed, reason: REASON })],
  ['compare', () => ({ refs: [ids.prun, ids.other] })],
  ['lineage', () => ({ ref: ids.run })],
  ['history', () => ({ workspace: 'exp' })],
  ['log_thought', () => ({ thought: 'The Inspector sees everything', workspace: 'exp' })],
  [
    'register_source',
    () => ({ name: 'numbers', uri: 'data/numbers.csv', description: 'Two numbers', reason: REASON }),
  ],
  ['list_sources', () => ({})],
  ['inspect_source', () => ({ name: 'numbers' })],
  [
    'promote_artifact',
    () => ({
      run_id: ids.run,
      output: 'numbers',
      source_name: 'promoted',
      description: 'Three numbers',
      reason: REASON,
    }),
  ],
  ['delete_source', () => ({ name: 'numbers', reason: REASON })],
  ['list_profiles', () => ({})],
  ['warm_pool_status', () => ({})],
  ['warm_pool_cleanup', () => ({ reason: REASON }), 'BACKEND_UNAVAILABLE'],
  ['backup', () => ({})],
  ['audit_log', () => ({ limit: 3 })],
  ['reload_config', () => ({})],
];

describe('the Inspector', () => {
  it('lists every tool, and every one is called here', () => {
    const names = CALLS.map(([name]) => name);
    expect(listed.map((tool) => tool.name).sort()).toEqual([...names].sort());
  });

  it('gets from every tool an answer that fits its output schema', { timeout: 600_000 }, async () => {
    const validator = new AjvJsonSchemaValidator();
    for (const [name, args, refusal] of CALLS) {
      const answer = await callTool(name, args());
      const error = answer.structuredContent?.['error'] as { code: string } | undefined;
      expect({ name, refusal: error?.code, error: refusal ? undefined : error }).toEqual({
        name,
        refusal,
        error: undefined,
      });
      const schema = listed.find((tool) => tool.name === name)?.outputSchema;
      if (schema === undefined) throw new Error(`${name} has no output schema`);
      const result = validator.getValidator(schema as never)(answer.structuredContent);
      expect({ name, ...result }).toMatchObject({ name, valid: true });
    }
  });

  it('gets a refusal that fits the output schema too', async () => {
    const answer = await callTool('mount', { workspace: 'nobody', reason: REASON });
    expect(answer.isError).toBe(true);
    expect(answer.structuredContent).toMatchObject({ error: { code: 'WORKSPACE_NOT_FOUND' } });
    const schema = listed.find((tool) => tool.name === 'mount')?.outputSchema ?? {};
    const result = new AjvJsonSchemaValidator().getValidator(schema as never)(answer.structuredContent);
    expect(result.valid).toBe(true);
  });
});
