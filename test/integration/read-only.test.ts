import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { openDatabase } from '../../src/store/database.ts';
import { ALL_TOOLS } from '../../src/tools/registry.ts';
import { type McpSession, makeFolder, removeFolder, startSession } from './mcp-session.ts';
import { endWork } from './mcp-work.ts';
import { wholeProject } from './project-state.ts';

/**
 * A project with a workspace, a run that waits for nobody to advance it, and a slot in the middle of a hibernation:
 * everything a server that may write would act upon at its start.
 */
let folder: string;
let run: string;
let pipelineRun: string;
const reason = 'A reason that is long enough';

beforeAll(async () => {
  folder = await makeFolder();
  await writeConfig('');
  const session = await startSession(folder);
  await session.call('create_workspace', { name: 'baseline', goal: 'Find a first number', reason });
  await session.call('mount', { workspace: 'baseline', reason });
  const { structured } = await session.call('run', { workspace: 'baseline', reason, wait_seconds: 45 });
  pipelineRun = String(structured['pipeline_run_id']);
  run = String((structured['runs'] as { run_id: string }[])[0]?.run_id);
  await endWork(session);
  await session.close();
  leaveOpen();
}, 120_000);
afterAll(() => removeFolder(folder));

function writeConfig(mcp: string): Promise<void> {
  return writeFile(
    join(folder, 'goldfish.yaml'),
    `project_name: still\ndefaults: { backend: process }\n${mcp}`,
  );
}

/** A run that nobody advances, and a slot whose hibernation a death has cut off. */
function leaveOpen(): void {
  const db = openDatabase(join(folder, '.goldfish/goldfish.db'), { create: false });
  db.write(() => {
    db.prepare("UPDATE pipeline_runs SET state = 'pending', ended_at = NULL").run();
    db.prepare(
      "UPDATE stage_runs SET state = 'pending', cause = NULL, ended_at = NULL WHERE stage_name = 'summarize'",
    ).run();
  });
  db.close();
  rmSync(supervisorLog());
  mkdirSync(join(folder, 'workspaces/.w1.leaving'));
  renameSync(join(folder, 'workspaces/w1/README.md'), join(folder, 'workspaces/.w1.leaving/README.md'));
}

const supervisorLog = (): string => join(folder, '.goldfish/log/supervisor.log');

const readers = ALL_TOOLS.filter((tool) => tool.annotations.readOnly).map((tool) => tool.name);

/** A call of every tool there is, such as would be understood. */
const CALLS: Record<string, () => object> = {
  initialize_project: () => ({ name: 'other' }),
  create_workspace: () => ({ name: 'another', goal: 'A goal', reason }),
  inspect_workspace: () => ({
    workspace: 'baseline',
    include: ['versions', 'pipeline', 'runs', 'lineage', 'thoughts'],
  }),
  delete_workspace: () => ({ workspace: 'baseline', reason }),
  mount: () => ({ workspace: 'baseline', reason }),
  hibernate: () => ({ slot: 'w1', reason }),
  checkpoint: () => ({ slot: 'w1', message: 'A state' }),
  list_versions: () => ({ workspace: 'baseline' }),
  diff: () => ({ target: 'baseline@v1' }),
  rollback: () => ({ slot: 'w1', version: 'v1', reason }),
  tag: () => ({ ref: 'baseline', tag: 'best' }),
  prune_versions: () => ({ workspace: 'baseline', versions: ['v1'], reason }),
  validate: () => ({ workspace: 'baseline' }),
  run: () => ({ workspace: 'baseline', reason }),
  inspect_run: () => ({ run_id: run }),
  logs: () => ({ run_id: run }),
  wait: () => ({ targets: [pipelineRun], timeout_seconds: 1 }),
  cancel: () => ({ target: run, reason }),
  retry: () => ({ run_id: run, reason }),
  metrics: () => ({ run_ids: [run] }),
  history: () => ({ workspace: 'baseline' }),
  log_thought: () => ({ thought: 'A thought' }),
  lineage: () => ({ ref: run }),
  register_source: () => ({ name: 's', uri: 'goldfish.yaml', description: 'A source', reason }),
  inspect_source: () => ({ name: 's' }),
  delete_source: () => ({ name: 's', reason }),
  promote_artifact: () => ({
    run_id: run,
    output: 'numbers',
    source_name: 's',
    description: 'A source',
    reason,
  }),
  warm_pool_cleanup: () => ({ reason }),
};

async function tryAll(session: McpSession): Promise<void> {
  const before = await wholeProject(folder, { audit: true });
  const refused: string[] = [];
  for (const { name } of ALL_TOOLS) {
    const { isError, error } = await session.call(name, CALLS[name]?.() ?? {});
    if (isError && error.code === 'NOT_SUPPORTED') refused.push(name);
    // What is not refused is answered, or says that something is not there.
    else expect(error?.code ?? 'ok', name).toMatch(/^(ok|SOURCE_NOT_FOUND|INVALID_ARGUMENT)$/);
  }
  expect(refused).toEqual(ALL_TOOLS.map((tool) => tool.name).filter((name) => !readers.includes(name)));
  expect(await wholeProject(folder, { audit: true })).toEqual(before);
}

describe('a read-only server', () => {
  it('by --read-only offers only what changes nothing, and refuses the rest with a code and a hint', async () => {
    const session = await startSession(folder, ['--read-only', '--toolsets', 'all']);
    const { tools } = await session.client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(readers);
    const { error } = await session.call('run', { nonsense: 1 });
    expect({ ...error, details: {} }).toMatchInlineSnapshot(`
      {
        "code": "NOT_SUPPORTED",
        "details": {},
        "hint": "Ask whoever started it to serve without --read-only and mcp.read_only; the details list what can be called.",
        "message": "This server is read-only, and run changes something.",
      }
    `);
    expect(error.details).toEqual({ tool: 'run', allowed: readers });
    await session.close();
  });

  it('writes nothing: no row, no audit, no file, no supervisor, and finishes no interrupted slot', async () => {
    const session = await startSession(folder, ['--read-only']);
    await tryAll(session);
    const { structured } = await session.call('list_runs', { state: 'pending' });
    expect(structured['runs']).toHaveLength(1);
    expect((await session.call('status')).structured).toMatchObject({ active_runs: [{ state: 'pending' }] });
    await session.close();
    // Whoever watches open work starts a supervisor, and opens its log for it.
    expect(existsSync(supervisorLog())).toBe(false);
  });

  it('by mcp.read_only is the same', async () => {
    await writeConfig('mcp: { read_only: true }\n');
    const session = await startSession(folder, ['--toolsets', 'all']);
    const { tools } = await session.client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(readers);
    await tryAll(session);
    await session.close();
    await writeConfig('');
  });

  it('does not make what is not there yet, and reads it as empty', async () => {
    const fresh = await makeFolder();
    await writeFile(join(fresh, 'goldfish.yaml'), 'project_name: fresh\n');
    const session = await startSession(fresh, ['--read-only']);
    expect((await session.call('status')).structured).toMatchObject({
      project: { name: 'fresh' },
      counts: { workspaces: 0, runs: 0 },
      errors: [],
    });
    expect((await session.call('list_workspaces')).structured).toMatchObject({ workspaces: [] });
    expect((await session.call('create_workspace', { name: 'a', goal: 'g', reason })).error.code).toBe(
      'NOT_SUPPORTED',
    );
    await session.close();
    expect(readdirSync(fresh)).toEqual(['goldfish.yaml']);
    await removeFolder(fresh);
  });

  it('makes no project where there is none', async () => {
    const empty = await makeFolder();
    const session = await startSession(empty, ['--read-only']);
    expect((await session.call('initialize_project', { name: 'mine' })).error.code).toBe('NOT_SUPPORTED');
    expect((await session.call('status')).error.code).toBe('PROJECT_NOT_FOUND');
    await session.close();
    expect(readdirSync(empty)).toEqual([]);
    await removeFolder(empty);
  });
});

describe('goldfish call --read-only', () => {
  const goldfish = (...args: string[]) =>
    spawnSync(process.execPath, [assetPath('bin/goldfish.js'), ...args], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });

  it('reads, refuses what changes something, and writes nothing', async () => {
    const before = await wholeProject(folder, { audit: true });
    const read = goldfish('call', '--read-only', 'list_versions', '{"workspace": "baseline"}', '--json');
    expect(JSON.parse(read.stdout)).toMatchObject({ versions: [{ version: 'v1' }] });
    const refused = goldfish('call', '--read-only', 'log_thought', '{"thought": "x"}');
    expect(refused.stderr).toContain('This server is read-only, and log_thought changes something.');
    expect(refused.status).not.toBe(0);
    expect(await wholeProject(folder, { audit: true })).toEqual(before);
  });

  it('is not what mcp.read_only asks for: that is for servers, and people go on working', async () => {
    await writeConfig('mcp: { read_only: true }\n');
    const done = goldfish('call', 'log_thought', '{"thought": "Still at work"}', '--json');
    expect(JSON.parse(done.stdout)).toMatchObject({ workspace: null });
    await writeConfig('');
  });
});
