import { afterEach, describe, expect, it } from 'vitest';
import { insertRecord } from '../../../src/store/records.ts';
import { insertVersion } from '../../../src/store/workspaces.ts';
import { errorOf, mountedProject, type Project, textsOf } from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

/** Versions v1 to v5 of `a`; the rows are what counts here, so all have the files of v1. */
async function fiveVersions(): Promise<void> {
  project = await mountedProject();
  const first = project.workspaces.version('a@v1');
  for (const version of [2, 3, 4, 5])
    insertVersion(project.db, { ...first, version, createdBy: 'checkpoint' });
}

const tag = (name: string, version: number, workspace = 'a') =>
  project.workspaces.tag({ tag: name, target: { workspace, version } });
const listed = (includePruned = false) =>
  project.workspaces.versions({ workspace: 'a', includePruned }).versions.map((row) => row.version);

describe('a tag', () => {
  it('names a version wherever a version is accepted', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    expect(tag('good', 1)).toEqual({ created: true });
    project.write('w1/f', 'edited');
    for (const reference of ['@good', 'a@good', 'w1@good']) {
      expect(workspaces.version(reference).version, reference).toBe(1);
    }
    expect(await workspaces.diff({ target: 'w1', against: '@good' })).toMatchObject({
      against: 'a@v1',
      files: [{ path: 'f', status: 'added' }],
    });
  });

  it('of a record stands for the version of that record', async () => {
    await fiveVersions();
    const recordId = recordOf(3);
    project.workspaces.tag({ tag: 'noted', target: { workspace: 'a', recordId } });
    expect(project.workspaces.version('@noted').version).toBe(3);
  });

  it('is unique in its workspace, given twice changes nothing, and says what it names already', async () => {
    await fiveVersions();
    tag('good', 2);
    expect(tag('good', 2)).toEqual({ created: false });
    expect(await errorOf(() => tag('good', 3))).toMatchObject({
      code: 'TAG_EXISTS',
      message: 'In a "good" names a@v2 already.',
      fix: { tool: 'tag', arguments: { ref: 'a@v2', tag: 'good', remove: true } },
    });
    expect(project.workspaces.version('@good').version).toBe(2);
  });

  it('without its workspace must be the only one of its name', async () => {
    await fiveVersions();
    await project.workspaces.create({ name: 'b', goal: 'g' });
    tag('good', 2);
    tag('good', 1, 'b');
    expect(await errorOf(() => project.workspaces.version('@good'))).toMatchObject({
      code: 'AMBIGUOUS_ID',
      hint: 'Name the workspace too, as in a@good.',
      details: { candidates: ['a@good', 'b@good'] },
    });
    expect(project.workspaces.version('b@good')).toMatchObject({ workspace: 'b', version: 1 });
  });

  it('must be a name, and none that reads like a version', async () => {
    await fiveVersions();
    for (const name of ['v3', 'latest', '../x', '-x', '', 'a b', 'x'.repeat(65)]) {
      expect(await errorOf(() => tag(name, 2)), name).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('is removed from what it names only', async () => {
    await fiveVersions();
    tag('good', 2);
    const untag = (version: number) =>
      project.workspaces.untag({ tag: 'good', workspace: 'a', target: { workspace: 'a', version } });
    expect(await errorOf(() => untag(3))).toMatchObject({
      code: 'CONFLICT',
      fix: { tool: 'tag', arguments: { ref: 'a@v2', tag: 'good', remove: true } },
    });
    expect(untag(2)).toMatchObject({ tag: 'good', leadsTo: 2 });
    expect(await errorOf(() => untag(2))).toMatchObject({ code: 'VERSION_NOT_FOUND' });
    tag('better', 3);
    expect(await errorOf(() => project.workspaces.version('a@bettr'))).toMatchObject({
      message: 'Nothing is tagged "bettr" in a.',
      hint: 'Did you mean a@better?',
    });
  });
});

describe('pruning', () => {
  it('hides versions from lists, and everything of them stays readable', async () => {
    project = await mountedProject();
    for (const text of ['two', 'three']) {
      project.write('w1/f', text);
      await project.workspaces.checkpoint({ slot: 'w1', message: text });
    }
    expect(project.workspaces.prune({ workspace: 'a', versions: ['v1', 'v2'] })).toEqual({
      workspace: 'a',
      pruned: [1, 2],
      restored: [],
      skipped: [],
      remaining: 1,
    });
    expect(listed()).toEqual([3]);
    expect(listed(true)).toEqual([3, 2, 1]);
    expect((await textsOf(project, 'a@v2'))['f']).toBe('two');
    expect(await project.workspaces.diff({ target: 'a@v3' })).toMatchObject({ against: 'a@v2' });
  });

  it('never gives a number again, and is undone by restore', async () => {
    await fiveVersions();
    project.workspaces.prune({ workspace: 'a', versions: ['v4'] });
    project.write('w1/f', 'six');
    expect((await project.workspaces.checkpoint({ slot: 'w1', message: 'six' })).version.version).toBe(6);
    project.workspaces.prune({ workspace: 'a', versions: ['v5'] });
    expect(project.workspaces.prune({ workspace: 'a', restore: true })).toMatchObject({ restored: [4, 5] });
    expect(listed()).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('skips what is tagged, newest, in use or pruned already, each with the reason', async () => {
    await fiveVersions();
    tag('good', 2);
    project.workspaces.tag({ tag: 'noted', target: { workspace: 'a', recordId: recordOf(3) } });
    project.workspaces.prune({ workspace: 'a', versions: ['v1'] });
    runOf(4);
    const asked = { workspace: 'a', versions: ['v1', '@good', 'v3', 'a@v4', 'v5'] };
    expect(project.workspaces.prune(asked)).toMatchObject({
      pruned: [],
      skipped: [
        { version: 1, why: 'was pruned before' },
        { version: 2, why: 'has the tag good' },
        { version: 3, why: 'has the tag noted' },
        { version: 4, why: 'has a run that has not ended' },
        { version: 5, why: 'is the newest, mounted in w1' },
      ],
    });
    expect(listed()).toEqual([5, 4, 3, 2]);
  });

  it('before a tag takes everything older that may go', async () => {
    await fiveVersions();
    tag('start', 1);
    tag('release', 4);
    expect(project.workspaces.prune({ workspace: 'a', beforeTag: '@release' })).toMatchObject({
      pruned: [2, 3],
      skipped: [{ version: 1, why: 'has the tag start' }],
    });
    expect(project.workspaces.prune({ workspace: 'a', beforeTag: 'release', restore: true })).toMatchObject({
      restored: [2, 3],
      skipped: [],
    });
  });

  it('refuses to guess, and a version that is not there, and changes nothing then', async () => {
    await fiveVersions();
    await project.workspaces.create({ name: 'b', goal: 'g' });
    const prune = (versions?: string[]) =>
      errorOf(() => project.workspaces.prune({ workspace: 'a', ...(versions ? { versions } : {}) }));
    expect(await prune()).toMatchObject({ code: 'INVALID_ARGUMENT', fix: { tool: 'list_versions' } });
    expect(await prune(['v2', 'v9'])).toMatchObject({ code: 'VERSION_NOT_FOUND' });
    expect(await prune(['v2', 'b@v1'])).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(listed()).toEqual([5, 4, 3, 2, 1]);
  });

  it('keeps new work from a pruned version until it is restored', async () => {
    await fiveVersions();
    project.workspaces.prune({ workspace: 'a', versions: ['v2'] });
    const fork = () =>
      project.workspaces.create({ name: 'b', goal: 'g', from: { workspace: 'a', version: 2 } });
    expect(await errorOf(fork)).toMatchObject({
      code: 'VERSION_NOT_FOUND',
      fix: { tool: 'prune_versions', arguments: { workspace: 'a', versions: ['v2'], restore: true } },
    });
    project.workspaces.prune({ workspace: 'a', versions: ['v2'], restore: true });
    expect(await fork()).toMatchObject({ workspace: 'b', version: 1 });
  });
});

/** The record of a version, made here. */
function recordOf(version: number): string {
  const id = `01KARK0000000000000000000${version}`;
  insertRecord(project.db, {
    id,
    kind: 'checkpoint',
    workspace: 'a',
    version,
    pipelineRunId: null,
    snapshotId: `snap-${version}`,
    message: 'm',
    createdAt: '2026-01-01T00:00:00.000Z',
  });
  return id;
}

/** A run of a version that waits. */
function runOf(version: number): void {
  const at = '2026-01-01T00:00:00.000Z';
  project.db
    .prepare(
      `INSERT INTO pipeline_runs (id, workspace_name, version, pipeline_name, submission_key, state, reason, request_json,
         goldfish_version, created_at) VALUES ('prun-000000000001', 'a', ?, 'p', 'key', 'pending', 'r', '{}', '0', ?)`,
    )
    .run(version, at);
  project.db
    .prepare(
      `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, backend_type,
         profile, plan_json, created_at)
       VALUES ('stage-000000000001', 'prun-000000000001', 0, 'a', ?, 's', 'pending', 'process', 'default', '{}', ?)`,
    )
    .run(version, at);
}
