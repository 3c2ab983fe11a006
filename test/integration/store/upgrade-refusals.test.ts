import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';
import { GOLDFISH_VERSION } from '../../../src/core/version.ts';
import {
  allRows,
  EARLIER_SCHEMAS,
  makeEarlierProject,
  NEWEST_SCHEMA,
  schemaOf,
} from '../../support/earlier-project.ts';
import { createTestProject, mountStages, type TestProject, until, waitOver } from '../../support/project.ts';
import { goldfish, type Started, start } from '../cli-program.ts';
import { makeFolder, removeFolder, startSession } from '../mcp-session.ts';

const SUPERVISOR = assetPath('src/supervisor/main.ts');
const SOURCE = new URL('../../../src/', import.meta.url).href;

describe('a project that a newer program has used', () => {
  const newer = NEWEST_SCHEMA + 1;
  const message = `This project was last used by a newer Goldfish (schema ${newer}; this program knows ${NEWEST_SCHEMA}).`;
  const hint = 'Use the newer Goldfish for this project.';
  let root: string;
  let file: string;
  let before: Map<string, unknown[]>;

  beforeAll(async () => {
    root = await makeFolder();
    file = join(root, '.goldfish/goldfish.db');
    makeEarlierProject(root, { schema: NEWEST_SCHEMA, environmentKey: 'sha256:none' });
    const db = new Database(file);
    db.pragma(`user_version = ${newer}`);
    db.close();
    before = allRows(file);
  });
  afterAll(async () => {
    // Whoever refused it has changed nothing.
    expect(schemaOf(file).version).toBe(newer);
    expect(allRows(file)).toEqual(before);
    await removeFolder(root);
  });

  it.each([[[]], [['--read-only']]])('is refused by a server (%j)', async (args) => {
    const session = await startSession(root, args);
    try {
      expect((await session.call('status')).structured).toMatchObject({
        project: null,
        errors: [{ component: 'project', message: `${message} ${hint}` }],
      });
      const { isError, error } = await session.call('list_runs');
      expect({ isError, error }).toMatchObject({ isError: true, error: { code: 'CONFLICT', message, hint } });
    } finally {
      await session.close();
    }
  });

  it('is refused on the command line', async () => {
    const { code, out, err } = await goldfish(['runs'], { cwd: root });
    expect({ out, err }).toEqual({ out: '', err: expect.stringContaining(message) });
    expect(err).toContain(hint);
    expect(code).not.toBe(0);
  });

  it('is refused by a supervisor', async () => {
    const { code, err } = await start([process.execPath, SUPERVISOR, '--project', root], { cwd: root }).ended;
    expect(err).toContain(message);
    expect(code).not.toBe(0);
  });
});

describe.each(EARLIER_SCHEMAS)('a read-only server on a project of schema %i', (schema) => {
  it('says what to do, and changes nothing', async () => {
    const root = await makeFolder();
    const file = join(root, '.goldfish/goldfish.db');
    makeEarlierProject(root, { schema, environmentKey: 'sha256:none' });
    const before = allRows(file);
    const session = await startSession(root, ['--read-only']);
    try {
      const message = `This project was last used by an older Goldfish (schema ${schema}; this program needs ${NEWEST_SCHEMA}).`;
      const hint = 'Use it once without read-only, which brings its store up to date.';
      const { isError, error } = await session.call('list_runs');
      expect({ isError, error }).toMatchObject({ isError: true, error: { code: 'CONFLICT', message, hint } });
      expect((await session.call('status')).structured).toMatchObject({
        errors: [{ component: 'project', message: `${message} ${hint}` }],
      });
      expect(schemaOf(file).version).toBe(schema);
      expect(allRows(file)).toEqual(before);
    } finally {
      await session.close();
      await removeFolder(root);
    }
  });
});

/** A supervisor of a program of another version; it works as ours does. */
function supervisorOf(project: TestProject, version: string): Started {
  const code = `
    import { openContext } from '${SOURCE}context.ts';
    import { superviseProject } from '${SOURCE}supervisor/supervise-project.ts';
    const stop = new AbortController();
    process.once('SIGTERM', () => stop.abort());
    const root = ${JSON.stringify(project.root)};
    const open = async () => ({ ...(await openContext({ root, role: 'supervisor' })), goldfishVersion: '${version}' });
    console.log(await superviseProject(open, { signal: stop.signal, lingerMs: 60_000 }));
    process.exit(0);`;
  return start([process.execPath, '--input-type=module', '-e', code], { cwd: project.root });
}

const PIPELINE = 'stages:\n  - { name: count, outputs: { n: json } }\n';
/** Says outside of the project that it was executed. */
const counting = (outside: string): string => `import os
with open(${JSON.stringify(join(outside, 'executed'))}, 'a') as file:
    file.write('x')
with open(os.environ['GOLDFISH_OUTPUTS'] + '/n.json', 'w') as file:
    file.write('1')
`;

describe.each([
  ['an older', '0.0.9', { takenOver: true }],
  ['a newer', '99.0.0', { takenOver: false }],
] as const)('%s supervisor that runs', (_, version, { takenOver }) => {
  it(takenOver ? 'is taken over by this program' : 'is left alone by this program', async () => {
    const project = createTestProject({ config: 'process: { sandbox: none }\n' });
    let other: Started | undefined;
    try {
      const { client } = await mountStages(project, {
        pipeline: PIPELINE,
        modules: { count: counting(project.outside) },
      });
      other = supervisorOf(project, version);
      const holder = (): { pid: number | null; version: string | null } | undefined =>
        project.rows<{ pid: number | null; version: string | null }>(
          'SELECT pid, goldfish_version AS version FROM supervisor_lease',
        )[0];
      await until(() => holder()?.version === version && holder()?.pid !== null, 100_000);
      const answer = await client.call('run', { workspace: 'exp', reason: 'See who advances the work' });
      await waitOver(client, String(answer['pipeline_run_id']));
      if (takenOver) {
        await until(() => holder()?.version === GOLDFISH_VERSION, 100_000);
        expect(await other.ended).toMatchObject({ code: 0, out: 'lease_lost\n' });
      } else {
        expect(holder()).toEqual({ pid: other.child.pid, version });
        const mine = await start([process.execPath, SUPERVISOR, '--project', project.root], {
          cwd: project.root,
        }).ended;
        expect(mine).toMatchObject({ code: 0 });
        expect(holder()).toEqual({ pid: other.child.pid, version });
      }
      expect(await client.call('list_runs', {})).toMatchObject({
        runs: [{ state: 'completed', attempt: 1 }],
      });
      expect(readFileSync(join(project.outside, 'executed'), 'utf8')).toBe('x');
    } finally {
      if (other && other.child.exitCode === null) {
        other.child.kill('SIGTERM');
        await other.ended;
      }
      await project.dispose();
    }
  });
});
