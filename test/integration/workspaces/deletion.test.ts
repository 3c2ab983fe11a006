import { mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { hideWorkspace } from '../../../src/store/deletion.ts';
import { findLivePipelineRun } from '../../../src/store/pipeline-runs.ts';
import {
  errorOf,
  filesBelow,
  makeProject,
  mountedProject,
  type Project,
  textsOf,
} from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const AT = '2026-01-01T00:00:00.000Z';
const refs = (pattern: string): string[] =>
  project.git('for-each-ref', '--format=%(refname)', pattern).split('\n').filter(Boolean).sort();

const tags = (): string[] => refs('refs/tags').map((ref) => ref.replace('refs/tags/', ''));

/** Workspace `a` with v1 to v3, a fork `b` of v2, an ignored file and a run; not mounted. */
async function prepare(state = 'completed'): Promise<void> {
  project = await mountedProject();
  const { workspaces } = project;
  project.write('w1/.gitignore', '*.log\n');
  project.write('w1/kept.log', 'ignored');
  await workspaces.checkpoint({ slot: 'w1', message: 'two' });
  project.write('w1/f', 'three');
  await workspaces.checkpoint({ slot: 'w1', message: 'three' });
  await workspaces.create({ name: 'b', goal: 'branch off', from: { workspace: 'a', version: 2 } });
  await workspaces.hibernate({ slot: 'w1', message: 'away' });
  workspaces.tag({ tag: 'good', target: { workspace: 'a', version: 2 } });
  workspaces.tag({ tag: 'good', target: { workspace: 'b', version: 1 } });
  const ended = state === 'completed';
  project.db
    .prepare(
      `INSERT INTO pipeline_runs (id, workspace_name, version, pipeline_name, submission_key, state, reason, request_json,
         goldfish_version, created_at) VALUES ('prun-000000000001', 'a', 3, 'p', 'key', ?, 'r', '{}', '0', ?)`,
    )
    .run(state, AT);
  project.db
    .prepare(
      `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, cause, backend_type,
         profile, plan_json, created_at, ended_at)
       VALUES ('stage-000000000001', 'prun-000000000001', 0, 'a', 3, 's', ?, ?, 'process', 'default', '{}', ?, ?)`,
    )
    .run(state, ended ? 'success' : null, AT, ended ? AT : null);
}

describe('deleting a workspace', () => {
  it('frees its name, and keeps its versions, runs, records and tags readable under another', async () => {
    await prepare();
    const { workspaces, db } = project;
    expect(await workspaces.delete('a')).toEqual({
      workspace: 'a',
      goal: 'find out',
      keptAs: 'a-deleted-1',
      versions: 3,
    });
    expect(workspaces.list().workspaces.map(({ name }) => name)).toEqual(['b']);
    expect(workspaces.known('a-deleted-1')).toMatchObject({ goal: 'find out', versions: 3, slot: null });
    expect(workspaces.versions({ workspace: 'a-deleted-1' }).versions).toHaveLength(3);
    expect((await textsOf(project, 'a-deleted-1@v3'))['f']).toBe('three');
    expect(await workspaces.diff({ target: 'a-deleted-1@v3' })).toMatchObject({ against: 'a-deleted-1@v2' });
    expect(workspaces.version('a-deleted-1@good').version).toBe(2);
    for (const table of ['pipeline_runs', 'stage_runs', 'records']) {
      const rows = db.prepare<{ name: string }>(`SELECT DISTINCT workspace_name AS name FROM ${table}`).all();
      expect(rows, table).toEqual([{ name: 'a-deleted-1' }]);
    }
  });

  it('lets a new workspace of the name begin with v1, with no number, tag or ignored file of the old', async () => {
    await prepare();
    const { workspaces } = project;
    const old = workspaces.version('a@v1').gitSha;
    await workspaces.delete('a');
    const made = await workspaces.create({ name: 'a', goal: 'again' });
    expect(made).toMatchObject({ workspace: 'a', version: 1 });
    expect(project.git('rev-parse', 'refs/tags/a-v1')).toBe(made.gitSha);
    expect(project.git('rev-parse', 'refs/tags/a-deleted-1-v1')).toBe(old);
    expect(tags()).toEqual(['a-deleted-1-v1', 'a-deleted-1-v2', 'a-deleted-1-v3', 'a-v1', 'b-v1']);
    expect(await errorOf(() => workspaces.version('a@good'))).toMatchObject({ code: 'VERSION_NOT_FOUND' });
    const mounted = await workspaces.mount({ workspace: 'a', slot: 'w1' });
    expect(mounted).toMatchObject({ restored: [], version: { version: 1 } });
    expect(await filesBelow(project.layout.aside('a-deleted-1'))).toEqual(['kept.log']);
    await workspaces.hibernate({ slot: 'w1', message: 'away' });
    expect(await workspaces.delete('a')).toMatchObject({ keptAs: 'a-deleted-2', versions: 1 });
  });

  it('leaves forks and their parents alone: tags, lineage and the version they began with', async () => {
    await prepare();
    const { workspaces } = project;
    const before = refs('refs/tags/b-v1');
    await workspaces.delete('a');
    expect(workspaces.get('b')).toMatchObject({ fromWorkspace: 'a-deleted-1', fromVersion: 2 });
    expect(await workspaces.diff({ target: 'b@v1' })).toMatchObject({ against: 'a-deleted-1@v2' });
    expect(refs('refs/tags/b-v1')).toEqual(before);
    expect(workspaces.version('@good')).toMatchObject({ workspace: 'b' });
    await workspaces.delete('b');
    expect(refs('refs/tags')).toContain('refs/tags/a-deleted-1-v2');
    expect((await textsOf(project, 'a-deleted-1@v2'))['.gitignore']).toBe('*.log\n');
  });

  it('is taken back by forking what was kept', async () => {
    await prepare();
    await project.workspaces.delete('a');
    const back = await project.workspaces.create({
      name: 'a',
      goal: 'again',
      from: { workspace: 'a-deleted-1' },
    });
    expect(back).toMatchObject({ version: 1, treeSha: project.workspaces.version('a-deleted-1@v3').treeSha });
  });

  it('refuses one that is mounted or running, with the call that changes it, and changes nothing', async () => {
    await prepare('pending');
    const { workspaces } = project;
    expect(await errorOf(() => workspaces.delete('a'))).toMatchObject({
      code: 'CONFLICT',
      message: 'prun-000000000001 of a has not ended.',
      fix: { tool: 'cancel', arguments: { target: 'prun-000000000001' } },
    });
    await workspaces.mount({ workspace: 'b', slot: 'w2' });
    for (const typed of ['b', 'w2']) {
      expect(await errorOf(() => workspaces.delete(typed))).toMatchObject({
        code: 'CONFLICT',
        message: 'b is mounted in w2.',
        fix: { tool: 'hibernate', arguments: { slot: 'w2' } },
      });
    }
    expect(workspaces.list().workspaces.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(refs('refs/heads')).toEqual(['refs/heads/a', 'refs/heads/b']);
  });

  it('leaves nothing that new work could begin in: mount, tag, prune and delete say that it was deleted', async () => {
    await prepare();
    const { workspaces } = project;
    await workspaces.delete('a');
    const calls: Record<string, () => unknown> = {
      mount: () => workspaces.mount({ workspace: 'a-deleted-1' }),
      snapshot: () => workspaces.snapshot({ workspace: 'a-deleted-1', message: 'm' }),
      delete: () => workspaces.delete('a-deleted-1'),
      prune: () => workspaces.prune({ workspace: 'a-deleted-1', versions: ['v1'] }),
      tag: () => workspaces.tag({ tag: 'x', target: { workspace: 'a-deleted-1', version: 1 } }),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(await errorOf(call), name).toMatchObject({
        code: 'WORKSPACE_NOT_FOUND',
        message: 'a-deleted-1 was deleted.',
        fix: { tool: 'create_workspace', arguments: { from_workspace: 'a-deleted-1', goal: 'find out' } },
      });
    }
    const taken = await errorOf(() => workspaces.create({ name: 'a-deleted-1', goal: 'g' }));
    expect(taken).toMatchObject({ code: 'WORKSPACE_EXISTS', hint: 'Choose another name.', fix: undefined });
  });

  it('makes equal calls of a later workspace of the name calls of their own', async () => {
    await prepare();
    expect(findLivePipelineRun(project.db, 'key')?.id).toBe('prun-000000000001');
    await project.workspaces.delete('a');
    expect(findLivePipelineRun(project.db, 'key')).toBeUndefined();
  });

  it('keeps a long name within what a name may be', async () => {
    project = makeProject();
    const name = 'x'.repeat(64);
    await project.workspaces.create({ name, goal: 'g' });
    const { keptAs } = await project.workspaces.delete(name);
    expect(keptAs).toBe(`${'x'.repeat(54)}-deleted-1`);
    expect(project.workspaces.version(keptAs).version).toBe(1);
  });
});

describe('a death while a workspace is deleted', () => {
  it('is made good by recover: tags and ignored files follow the rows', async () => {
    await prepare();
    hideWorkspace(project.db, { name: 'a', hidden: 'a-deleted-1', at: AT });
    expect(refs('refs/heads')).toEqual(['refs/heads/a', 'refs/heads/b']);
    await project.again().recover();
    expect(refs('refs/heads')).toEqual(['refs/heads/a-deleted-1', 'refs/heads/b']);
    expect(tags()).toEqual(['a-deleted-1-v1', 'a-deleted-1-v2', 'a-deleted-1-v3', 'b-v1']);
    expect(await filesBelow(project.layout.aside('a-deleted-1'))).toEqual(['kept.log']);
  });

  it('does not hand its ignored files to the next workspace of the name', async () => {
    await prepare();
    hideWorkspace(project.db, { name: 'a', hidden: 'a-deleted-1', at: AT });
    await project.workspaces.create({ name: 'a', goal: 'again' });
    expect(await project.workspaces.mount({ workspace: 'a', slot: 'w1' })).toMatchObject({ restored: [] });
    expect(await filesBelow(project.layout.aside('a-deleted-1'))).toEqual(['kept.log']);
    await project.again().recover();
    expect(tags()).toEqual(['a-deleted-1-v1', 'a-deleted-1-v2', 'a-deleted-1-v3', 'a-v1', 'b-v1']);
    expect(project.git('rev-parse', 'refs/tags/a-v1')).toBe(project.workspaces.version('a@v1').gitSha);
  });

  it('that came while its ignored files moved loses none of them', async () => {
    await prepare();
    hideWorkspace(project.db, { name: 'a', hidden: 'a-deleted-1', at: AT });
    const moved = project.layout.aside('a-deleted-1');
    mkdirSync(dirname(moved), { recursive: true });
    renameSync(project.layout.aside('a'), moved);
    await project.again().recover();
    expect(await filesBelow(moved)).toEqual(['kept.log']);
  });
});
