import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, McpSession } from './mcp-session.ts';
import { marked, type OnceProject, openOnce } from './once-project.ts';
import { until } from './until.ts';

let project: OnceProject;
beforeAll(async () => {
  project = await openOnce(`project_name: once
defaults: { backend: process }
process: { sandbox: none, max_parallel: 1 }
mcp: { max_wait_seconds: 20 }
`);
}, 60_000);
afterAll(() => project.end());

type Change = { run_id: string; from: string | null; to: string; note?: string };
const changesOf = ({ structured }: Answer) => structured['changes'] as Change[];
const cursorOf = ({ structured }: Answer) => String(structured['cursor']);
/** Seconds: a machine may be very busy. */
const PATIENCE = 150;
const wait = (args: object, session: McpSession = project.session) => session.call('wait', args);

/** A call whose program runs until its gate is opened. */
async function gated(mark: string, config: object = {}): Promise<string> {
  const { structured } = await project.session.call('run', marked(mark, { gated: true, ...config }));
  return String(structured['pipeline_run_id']);
}
const isRunning = async (id: string): Promise<boolean> => {
  const { structured } = await project.session.call('list_runs', { pipeline_run_id: id });
  return (structured['runs'] as { state: string }[])[0]?.state === 'running';
};
async function finish(mark: string, id: string): Promise<void> {
  await project.openGate(mark);
  await until(
    async () => (await wait({ targets: [id] })).structured['done'] === true,
    `${mark} to end`,
    PATIENCE,
  );
}

describe('a cursor', () => {
  it('tells each change once, through servers that are killed and started anew', async () => {
    const first = await project.open();
    const id = await gated('cursor');
    const told: Change[] = [];
    const before = await wait({ targets: [id], timeout_seconds: 0, cursor: '0' }, first);
    told.push(...changesOf(before));
    const { pid } = first.client.transport as unknown as { pid: number };
    process.kill(pid, 'SIGKILL');
    await until(() => isRunning(id), 'the program to run', PATIENCE);
    const second = await project.open();
    const meanwhile = await wait({ targets: [id], timeout_seconds: 0, cursor: cursorOf(before) }, second);
    told.push(...changesOf(meanwhile));
    const nothing = await wait({ targets: [id], timeout_seconds: 0, cursor: cursorOf(meanwhile) }, second);
    expect(changesOf(nothing)).toEqual([]);
    await second.close();
    await finish('cursor', id);
    const end = await wait({ targets: [id], cursor: cursorOf(meanwhile) });
    told.push(...changesOf(end));
    expect(end.structured).toMatchObject({ done: true });
    expect(told[0]?.from).toBeNull();
    expect(told.at(-1)?.to).toBe('completed');
    // Each goes on where the one before ended.
    expect(told.slice(1).map((change) => change.from)).toEqual(told.slice(0, -1).map((change) => change.to));
    expect(changesOf(await wait({ targets: [id], cursor: cursorOf(end) }))).toEqual([]);
  });

  it('of another project is refused', async () => {
    const id = await gated('foreign');
    const { error } = await wait({ targets: [id], cursor: '1.01234567' });
    expect(error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'The cursor is of another project, or of a time that a restore has undone.',
    });
    await finish('foreign', id);
  });
});

describe('a wait', () => {
  it('tells a real client of progress that grows, and how far the program says it is', async () => {
    const id = await gated('progress');
    const seen: { progress: number; message?: string | undefined }[] = [];
    const waiting = project.session.client.callTool(
      { name: 'wait', arguments: { targets: [id] } },
      undefined,
      {
        onprogress: (progress) => seen.push(progress),
      },
    );
    await until(
      () => seen.some(({ message }) => message === 'work running 50 %'),
      'half of the work',
      PATIENCE,
    );
    await finish('progress', id);
    await waiting;
    const growing = seen.map(({ progress }) => progress);
    expect(growing).toEqual([...new Set(growing)].sort((a, b) => a - b));
  });

  it('that the client cancels leaves the work alone', async () => {
    const id = await gated('left-alone');
    const abort = new AbortController();
    const waiting = project.session.client.callTool(
      { name: 'wait', arguments: { targets: [id] } },
      undefined,
      {
        signal: abort.signal,
      },
    );
    await until(() => isRunning(id), 'the program to run', PATIENCE);
    abort.abort();
    await expect(waiting).rejects.toThrow();
    expect(await isRunning(id)).toBe(true);
    await finish('left-alone', id);
    const { structured } = await wait({ targets: [id] });
    expect(structured).toMatchObject({ done: true, targets: [{ state: 'completed' }] });
    expect(project.executed('left-alone')).toHaveLength(1);
  });

  it('of zero seconds answers with where things stand; a longer one than allowed is cut, and says so', async () => {
    const id = await gated('bounded');
    const now = await wait({ targets: [id], timeout_seconds: 0 });
    expect(now.structured).toMatchObject({ done: false, timed_out: true });
    expect(now.structured).not.toHaveProperty('waited_at_most');
    await finish('bounded', id);
    const long = await wait({ targets: [id], timeout_seconds: 3_600 });
    expect(long.structured).toMatchObject({ done: true, waited_at_most: 20 });
    expect(long.text).toContain('At most 20 s are waited in one call.');
  });

  it('says what holds back what waits, and when the queue will be through', async () => {
    const busy = await gated('busy');
    await until(() => isRunning(busy), 'the slot to be taken', PATIENCE);
    const queued = await gated('queued');
    const { structured, text } = await wait({ targets: [queued], timeout_seconds: 0 });
    expect(structured['blocked']).toMatchObject([
      { stage: 'work', blocked_by: 'backend process: 1 of 1 slots busy' },
    ]);
    expect(text).toContain('waits for backend process: 1 of 1 slots busy.');
    await finish('busy', busy);
    await finish('queued', queued);
  });

  it('tells that a run was lost and starts again', async () => {
    const { structured } = await project.session.call(
      'run',
      marked('lost', { kills: 1 }, { max_restarts: 1 }),
    );
    const id = String(structured['pipeline_run_id']);
    const start = await wait({ targets: [id], timeout_seconds: 0 });
    const notes: string[] = [];
    let cursor = cursorOf(start);
    await until(
      async () => {
        const answer = await wait({ targets: [id], timeout_seconds: 0, cursor });
        cursor = cursorOf(answer);
        notes.push(...changesOf(answer).flatMap(({ note }) => note ?? []));
        return answer.structured['done'] === true;
      },
      'the second attempt to complete',
      60,
    );
    expect(notes).toEqual([expect.stringMatching(/^attempt 2, after worker_lost, starts again in [1-5] s$/)]);
    expect(project.executed('lost')).toHaveLength(2);
  });
});
