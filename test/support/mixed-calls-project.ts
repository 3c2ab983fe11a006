import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkDatabase, openDatabase } from '../../src/store/database.ts';
import {
  type Caller,
  commandCaller,
  executions,
  type Made,
  makeMixedCalls,
  type Places,
  RIGHT_REFUSALS,
  serverCaller,
} from './mixed-calls.ts';
import { FIRST_CONFIG, lostFiles, versionProblems } from './mixed-calls-versions.ts';
import { createTestProject, type TestProject, writeStages } from './project.ts';

const REASON = 'Six callers share this project';
const CONTESTED = ['contested-0', 'contested-1', 'contested-2'];
const PIPELINE = 'stages:\n  - { name: note, outputs: { n: json } }\n';

type MixedCalls = {
  made: Made[];
  /** What must not have happened, in words. */
  problems: string[];
  /** Runs that were executed, counted outside of Goldfish. */
  executed: number;
  seconds: number;
};

/** Four servers and two commands that make calls at the same time, on one project; and what came of it. */
export async function mixedCalls(of: { calls: number; runs: number; seed: number }): Promise<MixedCalls> {
  const project = createTestProject({ config: 'slots: 10\nprocess: { sandbox: none, max_parallel: 3 }\n' });
  const callers: Caller[] = [];
  try {
    for (let n = 0; n < 4; n += 1) callers.push(await serverCaller(project.root));
    for (let n = 0; n < 2; n += 1) callers.push(commandCaller(project.root));
    const places = await makePlaces(project, callers);
    const begun = performance.now();
    const all = await Promise.all(
      callers.map((caller, number) =>
        makeMixedCalls(caller, { ...of, number, places: places[number] ?? neverPlaces() }),
      ),
    );
    const seconds = (performance.now() - begun) / 1000;
    const made = all.flat();
    await waitForAll(project, callers[0]);
    const counted = executions(project.outside);
    const problems = [
      ...wrongAnswers(made),
      ...auditProblems(project, made),
      ...lostUpdates(project, made),
      ...versionProblems(project, made),
      ...(await lostFiles({ project, made, caller: callers[0], contested: CONTESTED })),
      ...executionProblems(project, { made, counted }),
      ...storeProblems(project),
    ];
    return { made, problems, executed: counted.size, seconds };
  } finally {
    await Promise.all(callers.map((caller) => caller.close()));
    await project.dispose();
  }
}

function neverPlaces(): never {
  throw new Error('there are as many places as callers');
}

async function makePlaces(project: TestProject, callers: readonly Caller[]): Promise<Places[]> {
  const [first] = callers;
  const ask = async (tool: string, args: Record<string, unknown>): Promise<Record<string, unknown>> => {
    const answer = await first?.call(tool, args);
    if (!answer || answer.error) throw new Error(`${tool}: ${answer?.error?.message ?? 'no caller'}`);
    return answer.structured;
  };
  const place = async (workspace: string): Promise<{ workspace: string; slot: string }> => {
    await ask('create_workspace', { name: workspace, goal: 'Be shared', reason: REASON });
    const mounted = await ask('mount', { workspace, reason: REASON });
    const path = String(mounted['path']);
    const note = `import json, os
with open(${JSON.stringify(join(project.outside, 'executed'))}, 'a') as file:
    file.write(os.environ['GOLDFISH_RUN_ID'] + '\\n')
with open(os.environ['GOLDFISH_OUTPUTS'] + '/n.json', 'w') as file:
    json.dump(1, file)
`;
    for (const name of ['modules', 'configs']) rmSync(join(project.root, path, name), { recursive: true });
    // Otherwise equal stages of all would be executed once.
    writeStages(project, path, {
      pipeline: PIPELINE,
      modules: { note: `# ${workspace}\n${note}` },
      configs: { note: FIRST_CONFIG },
    });
    const slot = String(mounted['slot']);
    // v2: what a rollback goes back to.
    await ask('checkpoint', { slot, message: REASON });
    return { workspace, slot };
  };
  const shared = [await place('shared-0'), await place('shared-1')];
  for (const name of CONTESTED) await ask('create_workspace', { name, goal: 'Come and go', reason: REASON });
  const sql = 'SELECT name FROM slots WHERE workspace_name = ? AND mounted_at IS NOT NULL';
  const slotNow: Places['slotNow'] = (workspace) => project.rows<{ name: string }>(sql, workspace)[0]?.name;
  const places: Places[] = [];
  for (const number of callers.keys()) {
    const own = await place(`own-${number}`);
    const { root, outside } = project;
    places.push({ root, outside, own, shared, contested: CONTESTED, slotNow });
  }
  return places;
}

async function waitForAll(project: TestProject, caller: Caller | undefined): Promise<void> {
  const open = 'SELECT id FROM pipeline_runs WHERE ended_at IS NULL LIMIT 20';
  for (let tries = 0; tries < 30; tries += 1) {
    const targets = project.rows<{ id: string }>(open).map(({ id }) => id);
    if (targets.length === 0) return;
    await caller?.call('wait', { targets, timeout_seconds: 20 });
  }
  throw new Error('runs did not end');
}

function wrongAnswers(made: readonly Made[]): string[] {
  return made.flatMap(({ tool, outcome, message, marker, args }) => {
    if (/locked|SQLITE|busy for too long/i.test(message)) return [`${marker}: ${tool}: ${message}`];
    if (outcome === 'ok' || RIGHT_REFUSALS[tool]?.includes(outcome)) return [];
    const ofNothing = JSON.stringify(args).includes('prun-000000000000');
    if (outcome === 'RUN_NOT_FOUND' && ofNothing) return [];
    return [`${marker}: ${tool} was refused with ${outcome}: ${message}`];
  });
}

/** One row of each call that was to change something, with its outcome; none of any other. */
function auditProblems(project: TestProject, made: readonly Made[]): string[] {
  const rows = project.rows<{ operation: string; outcome: string; details: string }>(
    "SELECT operation, outcome, details_json AS details FROM audit WHERE actor LIKE 'mcp:%' OR actor LIKE 'cli:%'",
  );
  const found = new Map<string, string[]>();
  for (const { operation, outcome, details } of rows) {
    const marker = /call \d+-\d+ of many/.exec(details)?.[0];
    if (marker !== undefined) found.set(marker, [...(found.get(marker) ?? []), `${operation} ${outcome}`]);
  }
  return made.flatMap(({ marker, mutating, tool, outcome }) => {
    const expected = mutating ? [`${tool} ${outcome}`] : [];
    const there = found.get(marker) ?? [];
    return there.join() === expected.join()
      ? []
      : [`${marker}: audit has [${there}] instead of [${expected}]`];
  });
}

/** Thoughts, tags and workspaces that were acknowledged. */
function lostUpdates(project: TestProject, made: readonly Made[]): string[] {
  const done = made.filter(({ outcome }) => outcome === 'ok');
  const of = (tool: string): Made[] => done.filter((call) => call.tool === tool);
  const count = (sql: string, ...params: string[]): number =>
    project.rows<{ n: number }>(`SELECT count(*) AS n FROM ${sql}`, ...params)[0]?.n ?? 0;
  const problems: string[] = [];
  const one = (call: Made, sql: string, ...params: string[]): void => {
    const n = count(sql, ...params);
    if (n !== 1) problems.push(`${call.marker}: ${call.tool} was acknowledged, and is there ${n} times`);
  };
  for (const call of of('log_thought')) one(call, 'thoughts WHERE thought = ?', call.marker);
  for (const call of of('create_workspace'))
    one(call, 'workspaces WHERE name = ?', String(call.args['name']));
  for (const call of of('tag')) {
    const { workspace, tag, version } = call.answer;
    one(
      call,
      "tags WHERE workspace_name = ? AND tag = ? AND 'v' || version = ?",
      String(workspace),
      String(tag),
      String(version),
    );
  }
  return problems;
}

/** Each run that completed by its own work was executed once, no other more than that. */
function executionProblems(
  project: TestProject,
  of: { made: readonly Made[]; counted: ReadonlyMap<string, number> },
): string[] {
  const problems: string[] = [];
  const runs = project.rows<{ id: string; state: string; cause: string; attempt: number }>(
    'SELECT id, state, cause, attempt FROM stage_runs',
  );
  const known = new Set(runs.map(({ id }) => id));
  for (const id of of.counted.keys()) if (!known.has(id)) problems.push(`${id} was executed, and is no run`);
  for (const { id, state, cause, attempt } of runs) {
    const times = of.counted.get(id) ?? 0;
    const right = cause === 'success' ? times === 1 : cause === 'cached' ? times === 0 : times <= 1;
    if (!right || attempt !== 1) problems.push(`${id} is ${state} (${cause}), executed ${times} times`);
    if (state !== 'completed' && cause !== 'user') problems.push(`${id} ended as ${state} (${cause})`);
  }
  const started = of.made.filter(
    ({ tool, outcome, answer }) => tool === 'run' && outcome === 'ok' && answer['deduplicated'] === false,
  );
  const rows = project.rows<{ n: number }>('SELECT count(*) AS n FROM pipeline_runs')[0]?.n;
  if (rows !== started.length) problems.push(`${started.length} calls started something, ${rows} are there`);
  return problems;
}

function storeProblems(project: TestProject): string[] {
  const db = openDatabase(join(project.root, '.goldfish', 'goldfish.db'), { create: false });
  try {
    const problem = checkDatabase(db);
    return problem === null ? [] : [`the database is ${problem}`];
  } finally {
    db.close();
  }
}
