import type { Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../../src/core/errors.ts';
import type { Answer } from '../mcp-session.ts';
import { type AttackedProject, attackedProject, filesWith, REASON, stateOf } from './attacked-project.ts';
import { type Form, nameForms, pathForms, plantEntries } from './bad-forms.ts';

let project: AttackedProject;
let traps: Form[];
let server: Server;
let run: string;

beforeAll(async () => {
  project = await attackedProject('defaults: { backend: process }\nprocess: { sandbox: none }\n');
  project.write('.env', 'TOKEN=the-secret-of-the-project\n', 0o600);
  await project.must('create_workspace', { name: 'baseline', goal: 'Be there', reason: REASON });
  await project.must('mount', { workspace: 'baseline', reason: REASON });
  const answer = await project.must('run', { workspace: 'baseline', reason: REASON, wait_seconds: 45 });
  const [first] = answer['runs'] as { run_id: string }[];
  run = String(first?.run_id);
  await project.must('wait', { targets: [String(answer['pipeline_run_id'])], timeout_seconds: 45 });
  await project.must('register_source', {
    name: 'numbers',
    uri: 'workspaces/w1/pipeline.yaml',
    description: 'Any file',
    reason: REASON,
  });
  await project.endSupervisor();
  const planted = await plantEntries(project);
  traps = planted.forms;
  server = planted.server;
  // What the set-up read of the outside, if anything, is looked at here.
  expect(await project.watch.complaints()).toEqual([]);
}, 180_000);
afterAll(async () => {
  server?.close();
  await project?.dispose();
});

type Cell = { tool: string; field: string; args: (text: string) => object; path?: true };

/** Places of a call that name a path; a refusal names the field. */
const PATHS: readonly Cell[] = [
  {
    tool: 'register_source',
    field: 'uri',
    args: (uri) => ({ name: 'more', uri, description: 'Data', reason: REASON }),
  },
  {
    tool: 'run',
    field: 'inputs_override',
    args: (path) => ({
      workspace: 'baseline',
      reason: REASON,
      inputs_override: { summarize: { numbers: path } },
    }),
  },
  {
    tool: 'run',
    field: 'inputs_override',
    args: (path) => ({
      workspace: 'baseline',
      reason: REASON,
      dry_run: true,
      inputs_override: { summarize: { numbers: path } },
    }),
  },
];

const ref = (tool: string, field: string, rest: object = {}): Cell => ({
  tool,
  field,
  args: (text) => ({ ...rest, [field]: text }),
});
const why = { reason: REASON };

/** Places of a call that name a thing. Each cell would be accepted with a right name. */
const NAMES: readonly Cell[] = [
  ref('create_workspace', 'name', { goal: 'A goal', ...why }),
  ref('create_workspace', 'from_workspace', { name: 'forked', goal: 'A goal', ...why }),
  ref('create_workspace', 'from_version', { name: 'forked', from_workspace: 'baseline', goal: 'A', ...why }),
  ref('mount', 'slot', { workspace: 'baseline', ...why }),
  ref('checkpoint', 'slot', { message: 'A state worth naming' }),
  ref('hibernate', 'slot', why),
  ref('rollback', 'version', { slot: 'w1', ...why }),
  ref('tag', 'tag', { ref: 'baseline' }),
  ref('tag', 'ref', { tag: 'best' }),
  ref('diff', 'target'),
  ref('diff', 'against', { target: 'w1' }),
  ref('delete_workspace', 'workspace', why),
  ref('prune_versions', 'before_tag', { workspace: 'baseline', ...why }),
  ref('validate', 'pipeline', { workspace: 'baseline' }),
  ref('run', 'workspace', why),
  ref('run', 'pipeline', { workspace: 'baseline', ...why }),
  ref('run', 'profile', { workspace: 'baseline', ...why }),
  ref('run', 'backend', { workspace: 'baseline', ...why }),
  ref('run', 'group', { workspace: 'baseline', ...why }),
  { tool: 'run', field: 'stages', args: (text) => ({ workspace: 'baseline', ...why, stages: [text] }) },
  {
    tool: 'run',
    field: 'config_override',
    args: (text) => ({ workspace: 'baseline', ...why, config_override: { [text]: { a: 1 } } }),
  },
  {
    tool: 'run',
    field: 'inputs_override stage',
    args: (text) => ({ workspace: 'baseline', ...why, inputs_override: { [text]: { numbers: 'numbers' } } }),
  },
  {
    tool: 'run',
    field: 'inputs_override signal',
    args: (text) => ({
      workspace: 'baseline',
      ...why,
      inputs_override: { summarize: { [text]: 'numbers' } },
    }),
  },
  {
    tool: 'run',
    field: 'inputs_override run_id',
    args: (text) => ({
      workspace: 'baseline',
      ...why,
      inputs_override: { summarize: { numbers: { run_id: text, signal: 'numbers' } } },
    }),
  },
  {
    tool: 'run',
    field: 'inputs_override output',
    args: (text) => ({
      workspace: 'baseline',
      ...why,
      inputs_override: { summarize: { numbers: { run_id: run, signal: text } } },
    }),
  },
  ref('retry', 'run_id', why),
  ref('inspect_run', 'run_id'),
  ref('logs', 'run_id'),
  { tool: 'wait', field: 'targets', args: (text) => ({ targets: [text], timeout_seconds: 0 }) },
  ref('cancel', 'target', why),
  { tool: 'compare', field: 'refs', args: (text) => ({ refs: [run, text] }) },
  ref('lineage', 'ref'),
  ref('register_source', 'name', { uri: 'goldfish.yaml', description: 'Data', ...why }),
  ref('inspect_source', 'name'),
  ref('inspect_source', 'version', { name: 'numbers' }),
  ref('delete_source', 'name', why),
  { tool: 'promote_artifact', field: 'source_name', args: (text) => promote({ source_name: text }) },
  { tool: 'promote_artifact', field: 'output', args: (text) => promote({ output: text }) },
];

function promote(change: object): object {
  return {
    run_id: run,
    output: 'numbers',
    source_name: 'promoted',
    description: 'Points',
    ...why,
    ...change,
  };
}

/** What is wrong with the answer to a call that must be refused. */
function complaints(answer: Answer, cell: Cell, given: string): string[] {
  const { error } = answer;
  if (!answer.isError) return [`accepted: ${answer.text.slice(0, 200)}`];
  const found: string[] = [];
  if (!Object.hasOwn(ERROR_CODES, error.code) || error.code === 'INTERNAL') found.push(`code ${error.code}`);
  if (!error.message || !error.hint) found.push('no message or no hint');
  const { field, problems = [] } = error.details as { field?: string; problems?: { field: string }[] };
  const says = [field ?? '', ...problems.map((problem) => problem.field)];
  if (cell.path && !says.some((name) => name.startsWith(cell.field))) found.push(`names the field "${says}"`);
  // A caller may be shown the path that it gave, without the machine it named.
  const own = [given, given.replace(/^file:\/\/[^/]+/, '')];
  const rest = own.reduce((text, part) => text.replaceAll(part, ''), answer.text);
  if (rest.includes(project.base)) found.push('shows a path of the machine');
  return found;
}

/** Every cell meets every form. */
async function refuseAll(cells: readonly Cell[], forms: readonly Form[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const cell of cells) {
    for (const { what, text } of forms) {
      const answer = await project.call(cell.tool, cell.args(text));
      for (const complaint of complaints(answer, cell, text)) {
        wrong.push(`${cell.tool}.${cell.field}, ${what}: ${complaint}`);
      }
    }
  }
  return wrong;
}

describe('what a caller names', () => {
  it('is refused as a path in every bad form, and nothing outside is opened, listed or changed', {
    timeout: 300_000,
  }, async () => {
    const before = stateOf(project);
    const forms = [...pathForms(project), ...traps];
    const cells = PATHS.map((cell): Cell => ({ ...cell, path: true }));
    const wrong = await refuseAll(cells, forms);
    expect(wrong).toEqual([]);
    expect(await project.watch.complaints()).toEqual([]);
    expect(stateOf(project)).toEqual(before);
  });

  it.each([...Map.groupBy(NAMES, ({ tool }) => tool)])(
    'is refused by %s as a name in every bad form',
    { timeout: 300_000 },
    async (_, cells) => {
      const before = stateOf(project);
      const wrong = await refuseAll(cells, nameForms());
      expect(wrong).toEqual([]);
      expect(await project.watch.complaints()).toEqual([]);
      expect(stateOf(project)).toEqual(before);
    },
  );

  it('says nothing of what lies outside: whether it is there makes no difference', async () => {
    const refusal = async (uri: string): Promise<string> => {
      const answer = await project.call('register_source', {
        name: 'm',
        uri,
        description: 'Data',
        reason: REASON,
      });
      return JSON.stringify(answer.error).replaceAll(uri, 'URI');
    };
    expect(await refusal('../outside/canary.txt')).toBe(await refusal('../outside/not-there'));
    expect(await refusal('/etc/passwd')).toBe(await refusal('/etc/not-there'));
  });

  it('is harmless where a filter of a diff, a folder of a second project, or a backend of a list is none of ours', {
    timeout: 300_000,
  }, async () => {
    const forms = [...pathForms(project), ...nameForms()];
    const inDiff = async ({ what, text }: Form): Promise<void> => {
      const { isError, error, structured } = await project.call('diff', { target: 'w1', paths: [text] });
      if (isError) expect(error.code, what).toBe('INVALID_ARGUMENT');
      else expect(structured['files'], what).toEqual([]);
    };
    const inProject = async ({ what, text }: Form): Promise<void> => {
      const made = await project.call('initialize_project', { name: 'other', path: text });
      if (made.isError) expect(made.error.code, what).toMatch(/^(INVALID_ARGUMENT|PATH_OUTSIDE_ROOT)$/);
      else expect(made.structured, what).toMatchObject({ created: false });
    };
    // It lists profiles, and says of each that it cannot run on a backend nobody knows.
    const inProfiles = async ({ what, text }: Form): Promise<void> => {
      const profiles = await project.call('list_profiles', { backend: text });
      if (profiles.isError) expect(profiles.error.code, what).toBe('INVALID_ARGUMENT');
      else expect(profiles.text, what).not.toMatch(/^default +yes/m);
    };
    const ways = [inDiff, inProject, inProfiles];
    for (const form of forms) for (const way of ways) await way(form);
    expect(await project.watch.complaints()).toEqual([]);
  });

  it('reaches no state of Goldfish and none of its neighbours by any of these ways', () => {
    const skip = (path: string): boolean => path.startsWith(project.outside);
    expect(filesWith(project.base, [project.canary], skip)).toEqual([]);
    expect(project.said()).not.toContain(project.canary);
    expect(project.said()).not.toContain('the-secret-of-the-project');
  });
});
