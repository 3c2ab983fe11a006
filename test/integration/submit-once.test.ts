import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldfish } from './cli-program.ts';
import { masking } from './mcp-mask.ts';
import { type Answer, type McpSession, SERVER } from './mcp-session.ts';
import { marked, type OnceProject, openOnce } from './once-project.ts';
import { until } from './until.ts';

let project: OnceProject;
beforeAll(async () => {
  project = await openOnce();
}, 60_000);
afterAll(() => project.end());

function idsOf({ structured, isError, text }: Answer): string[] {
  if (isError) throw new Error(text);
  return (structured['pipeline_run_ids'] ?? [structured['pipeline_run_id']]) as string[];
}
const run = (session: McpSession, args: object) => session.call('run', args);
const rowsOf = async (args: object) =>
  (await project.session.call('list_runs', { limit: 100, ...args })).structured['runs'] as {
    run_id: string;
    pipeline_run_id: string;
    state: string;
    replicate?: number;
  }[];

async function ended(answer: Answer): Promise<void> {
  const over = async () => {
    const { structured } = await project.session.call('wait', { targets: idsOf(answer) });
    return structured['done'] === true;
  };
  await until(over, 'the end', 150);
}

describe('the same call from two servers at once', () => {
  /** One that has opened the project: else it would come too late for a race. */
  async function warm(): Promise<McpSession> {
    const other = await project.open();
    await other.call('status', {});
    return other;
  }

  it.each(['a', 'b', 'c', 'd'])('starts one pipeline run under one key (%s)', async (round) => {
    const other = await warm();
    // Only the key keeps these from being two.
    const args = marked(`twins-${round}`, {}, { use_cache: false, idempotency_key: `twins ${round}` });
    const answers = await Promise.all([run(project.session, args), run(other, args)]);
    expect(new Set(answers.flatMap(idsOf)).size).toBe(1);
    expect(answers.map(({ structured }) => structured['deduplicated']).sort()).toEqual([false, true]);
    await ended(answers[0] as Answer);
    expect(project.executed(`twins-${round}`)).toHaveLength(1);
    await other.close();
  });

  it('starts one pipeline run without a key, too, where nothing forbids reuse', async () => {
    const other = await warm();
    const args = marked('plain-twins');
    const answers = await Promise.all([run(project.session, args), run(other, args)]);
    expect(new Set(answers.flatMap(idsOf)).size).toBe(1);
    await ended(answers[0] as Answer);
    expect(project.executed('plain-twins')).toHaveLength(1);
    await other.close();
  });
});

describe('a client that is gone before the answer, and sends its call again', () => {
  const message = (id: number, method: string, params: object) =>
    `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
  const INITIALIZE = message(0, 'initialize', {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'mortal', version: '1' },
  });

  /** Server and client die together, at once or when something is seen to have happened. */
  async function sendAndDie(args: object, moment: () => Promise<boolean>): Promise<void> {
    const server = spawn(process.execPath, [SERVER], {
      cwd: project.folder,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    server.stdin.write(INITIALIZE + message(1, 'tools/call', { name: 'run', arguments: args }));
    await until(moment, 'the moment to die', 150);
    server.kill('SIGKILL');
    await once(server, 'exit');
  }

  it.each<[string, (mark: string) => Promise<boolean>]>([
    ['before anything can have happened', async () => true],
    ['when its pipeline run is stored', async (mark) => (await rowsOf({ group: mark })).length > 0],
    ['when its program is running', async (mark) => project.executed(mark).length > 0],
  ])('has one execution (%s)', async (_, moment) => {
    const mark = `mortal-${project.executed().length}`;
    const args = marked(mark, {}, { use_cache: false, group: mark, idempotency_key: mark });
    await sendAndDie(args, () => moment(mark));
    const again = await run(project.session, args);
    await ended(again);
    expect(new Set((await rowsOf({ group: mark })).map((row) => row.pipeline_run_id))).toEqual(
      new Set(idsOf(again)),
    );
    expect(project.executed(mark)).toHaveLength(1);
  });
});

describe('a call under its key', () => {
  it('gets the first one although that has failed and the files have changed; another call is refused', async () => {
    const args = marked('fails', { fails: true }, { idempotency_key: 'fails once', wait_seconds: 45 });
    const first = await run(project.session, args);
    expect(first.structured).toMatchObject({ state: 'failed', deduplicated: false });
    await writeFile(project.inSlot('modules/helper.py'), 'changed = True\n');
    const again = await run(project.session, { ...args, wait_seconds: 1 });
    const id = idsOf(first)[0];
    expect(again.structured).toMatchObject({
      pipeline_run_id: id,
      state: 'failed',
      deduplicated: true,
      version: first.structured['version'],
      next: { tool: 'inspect_run' },
    });
    expect(project.executed('fails')).toHaveLength(1);
    const look = await run(project.session, { ...args, dry_run: true });
    expect(look.structured).toMatchObject({ pipeline_run_id: id, deduplicated: true });
    const other = await run(project.session, { ...args, reason: 'Another reason than before' });
    expect(other.error).toMatchObject({
      code: 'IDEMPOTENCY_CONFLICT',
      message: `The key "fails once" was used for ${id} with another reason.`,
      fix: { tool: 'list_runs', arguments: { pipeline_run_id: id } },
    });
    expect(project.executed('fails')).toHaveLength(1);
  });
});

describe('replicates', () => {
  it('are executed each for itself, and the same call finds them again', async () => {
    const mask = masking();
    const args = marked('noise', {}, { replicate: 3 });
    const call = await run(project.session, args);
    expect(idsOf(call)).toHaveLength(3);
    await ended(call);
    expect(project.executed('noise')).toHaveLength(3);
    const again = await run(project.session, args);
    expect(idsOf(again)).toEqual(idsOf(call));
    // Why the first was executed depends on what was before.
    expect(
      mask(again)
        .text.split('\n')
        .filter((line) => !line.includes('  work  0  ')),
    ).toEqual([
      expect.stringMatching(/^3 replicates of once@v\d+ are completed: prun-1, prun-2, prun-3\.$/),
      'The same call was made before: these are its pipeline runs, nothing new was started.',
      'run  stage  replicate  state  reused, or why not',
      expect.stringMatching(
        /^stage-\d {2}work {2}1 {2}completed {2}replicate 1 of this stage has not completed yet$/,
      ),
      expect.stringMatching(
        /^stage-\d {2}work {2}2 {2}completed {2}replicate 2 of this stage has not completed yet$/,
      ),
      'next: compare {"refs":["prun-1","prun-2","prun-3"]}',
    ]);
    expect(project.executed('noise')).toHaveLength(3);
    const rows = await Promise.all(idsOf(call).map((id) => rowsOf({ pipeline_run_id: id })));
    expect(rows.flat().map((row) => row.replicate)).toEqual([undefined, 1, 2]);
  });
});

describe('similar runs', () => {
  it('are told before and after the start, with what differs, how they ended and what they measured', async () => {
    const good = await run(project.session, marked('one', { score: 0.5 }, { wait_seconds: 45 }));
    const bad = await run(project.session, marked('two', { score: 0.5, fails: true }, { wait_seconds: 45 }));
    const expected = [
      {
        pipeline_run_id: idsOf(good)[0],
        state: 'completed',
        cause: null,
        differs: ['work: config (mark: "one" → "three")'],
        metric: { name: 'score', value: 0.5 },
      },
      {
        pipeline_run_id: idsOf(bad)[0],
        state: 'failed',
        cause: 'exit_nonzero',
        differs: ['work: config (fails: true → absent, mark: "two" → "three")'],
        metric: null,
      },
    ];
    const args = marked('three', { score: 0.5 });
    for (const dry_run of [true, false]) {
      const { structured, text } = await run(project.session, { ...args, dry_run });
      expect((structured['similar'] as object[]).slice(0, 2)).toMatchObject(expected);
      expect(text).toContain(
        `similar: ${idsOf(good)[0]} of ${good.structured['version']} is completed, score 0.5; it differs in work: config (mark: "one" → "three")`,
      );
    }
  });
});

describe('the command line', () => {
  it('sends a key and asks for replicates', async () => {
    const words = ['run', 'once', '--reason', 'See that it is done once', '--set', 'work.mark=typed'];
    const options = ['--replicate', '2', '--idempotency-key', 'typed', '--print-id'];
    const first = await goldfish([...words, ...options, '--wait'], { cwd: project.folder });
    expect(first.code).toBe(0);
    const ids = first.out.trimEnd().split('\n');
    expect(ids).toEqual([expect.stringMatching(/^prun-/), expect.stringMatching(/^prun-/)]);
    const again = await goldfish([...words, ...options], { cwd: project.folder });
    expect(again.out).toBe(first.out);
    expect(project.executed('typed')).toHaveLength(2);
    const other = await goldfish([...words, '--idempotency-key', 'typed'], { cwd: project.folder });
    expect(other.code).toBe(4);
    expect(other.err).toContain(
      `goldfish: The key "typed" was used for ${ids[0]} with another replicate. [IDEMPOTENCY_CONFLICT]`,
    );
  });
});
