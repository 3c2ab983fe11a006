import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Effects, effect } from './kit.ts';

const TO_LOW = { code: 'REASON_TOO_SHORT', details: { min_length: 15 } };

/** Of the project, its tools and its callers. */
export const PROJECT_EFFECTS: Effects = {
  project_name: effect('is the name that status shows', async (kit) => {
    const ctx = await kit.open('defaults: { backend: process }\nprocess: { sandbox: none }\n');
    expect(await kit.call(ctx, 'status', {})).toMatchObject({ project: { name: 'effects' } });
  }),
  slots: effect('are the places to mount in', async (kit) => {
    const ctx = await kit.open('slots: [left, right]\n');
    expect(ctx.workspaces.slots().map(({ name }) => name)).toEqual(['left', 'right']);
  }),
  state_dir: effect('is where the database lies', async (kit) => {
    await kit.open('state_dir: elsewhere\n');
    expect(existsSync(join(kit.root(), 'elsewhere', 'goldfish.db'))).toBe(true);
    expect(existsSync(join(kit.root(), '.goldfish'))).toBe(false);
  }),
  data_roots: effect('are the folders outside the project that data may come from', async (kit) => {
    const path = join(kit.base, 'digits.csv');
    writeFileSync(path, 'a,b\n');
    const closed = await kit.open('');
    await expect(closed.sources.fromPath(path)).rejects.toMatchObject({ code: 'PATH_OUTSIDE_ROOT' });
    const opened = await kit.open('data_roots: [..]\nstorage: { keep: { min_free_gb: 0 } }\n');
    expect(await opened.sources.fromPath(path)).toMatchObject({ version: 1 });
  }),
  'versions.max_file_mb': effect('is how large a file of a version may be', async (kit) => {
    const ctx = await kit.open('versions: { max_file_mb: 0.01 }\n');
    await ctx.workspaces.create({ name: 'exp', goal: 'See what a setting does' });
    await ctx.workspaces.mount({ workspace: 'exp', slot: 'w1' });
    kit.write('workspaces/w1/big', 'x'.repeat(20_000));
    await expect(ctx.workspaces.preview('exp')).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' });
  }),
  'mcp.toolsets': effect('are the tools that are offered', async (kit) => {
    expect(await kit.offered('mcp: { toolsets: all }\n')).toContain('list_versions');
    const core = await kit.offered('mcp: { toolsets: core }\n');
    expect(core).toContain('run');
    expect(core).not.toContain('list_versions');
  }),
  'mcp.read_only': effect('offers only tools that change nothing', async (kit) => {
    expect(await kit.offered('mcp: { read_only: false }\n')).toContain('run');
    const reading = await kit.offered('mcp: { read_only: true }\n');
    expect(reading).toContain('list_runs');
    expect(reading).not.toContain('run');
  }),
  'mcp.max_wait_seconds': effect('is how long wait holds the line', async (kit) => {
    const ctx = await kit.open('mcp: { max_wait_seconds: 1 }\ndefaults: { backend: process }\n');
    const { pipelineRun } = await kit.submit(ctx);
    const args = { targets: [pipelineRun.id], timeout_seconds: 40 };
    expect(await kit.call(ctx, 'wait', args)).toMatchObject({ timed_out: true, waited_at_most: 1 });
  }),
  'audit.min_reason_length': effect('is how long a reason must be', async (kit) => {
    const args = { name: 'exp', goal: 'See what a setting does', reason: 'Because' };
    expect(await kit.call(await kit.open(''), 'create_workspace', args)).toMatchObject({ error: TO_LOW });
    const short = await kit.open('audit: { min_reason_length: 7 }\n');
    expect(await kit.call(short, 'create_workspace', args)).toMatchObject({ workspace: 'exp' });
  }),
};
