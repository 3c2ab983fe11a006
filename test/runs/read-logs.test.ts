import { rmSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appendLog } from '../../src/backends/log-segments.ts';
import { type LogsRequest, readRunLogs } from '../../src/runs/read-logs.ts';
import { applyRunEvent } from '../../src/store/run-events.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;

const AT = '2026-01-01T00:00:00.000Z';

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  id = project.runOf(prepared.first, 'one').id;
  await project.tick();
});
afterEach(() => project.dispose());

const dirOf = (attempt: number): string => project.deps.layout.attempt(id, attempt).log;

async function print(attempt: number, ...texts: string[]): Promise<void> {
  await appendLog({ dir: dirOf(attempt), stream: 'stdout', texts, now: Date.parse(AT) });
}

/** The next attempt of the same run. */
function restart(): void {
  for (const event of ['prepare', 'launch', 'restart'] as const) {
    applyRunEvent(project.db, { runId: id, event, source: 'supervisor', at: AT });
  }
}

const read = (request: Partial<LogsRequest> = {}) =>
  readRunLogs(project.deps, { run: project.run(id), limit: 1000, ...request });
const texts = (page: { lines: { text: string }[] }): string[] => page.lines.map((line) => line.text);

/** Every line from a cursor on, a page at a time, until no more are there. */
async function readAll(request: Partial<LogsRequest>): Promise<{ lines: string[]; cursor: string }> {
  const lines: string[] = [];
  for (let cursor = request.cursor; ; ) {
    const page = await read({ ...request, ...(cursor === undefined ? {} : { cursor }) });
    lines.push(...texts(page));
    cursor = page.cursor;
    if (!page.more) return { lines, cursor };
  }
}

describe('a cursor', () => {
  it.each([1, 2, 3, 7, 100])(
    'neither skips nor repeats a line over three attempts, %i at a time',
    async (limit) => {
      const printed: string[] = [];
      for (let attempt = 1; attempt <= 3; attempt += 1) {
        if (attempt > 1) restart();
        const lines = Array.from({ length: 5 }, (_, n) => `attempt ${attempt}, line ${n}, ünï`);
        printed.push(...lines);
        await print(attempt, ...lines);
      }
      expect((await readAll({ limit })).lines).toEqual(printed);
    },
  );

  it('stays valid while lines are added, the run restarts and everything else is started again', async () => {
    await print(1, 'a', 'b');
    const first = await readAll({ limit: 1 });
    await print(1, 'c');
    restart();
    await print(2, 'd');
    const second = await readAll({ limit: 1, cursor: first.cursor });
    await print(2, 'e');
    const third = await readAll({ cursor: second.cursor });
    expect([first.lines, second.lines, third.lines]).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    expect(await read({ cursor: third.cursor })).toMatchObject({
      lines: [],
      cursor: third.cursor,
      more: false,
    });
  });

  it('passes over attempts that printed nothing', async () => {
    await print(1, 'a');
    restart();
    restart();
    await print(3, 'c');
    expect((await readAll({})).lines).toEqual(['a', 'c']);
  });

  it('is at its place after lines that a filter left out', async () => {
    await print(1, 'keep 1', 'drop', 'keep 2', 'drop');
    const page = await read({ grep: 'keep', limit: 1 });
    expect(texts(page)).toEqual(['keep 1']);
    const rest = await readAll({ grep: 'keep', cursor: page.cursor });
    expect(rest.lines).toEqual(['keep 2']);
    await print(1, 'keep 3');
    expect(texts(await read({ grep: 'keep', cursor: rest.cursor }))).toEqual(['keep 3']);
  });

  it('reads on where the tail ended', async () => {
    await print(1, 'a', 'b', 'c');
    const tail = await read({ tail: 2 });
    expect(texts(tail)).toEqual(['b', 'c']);
    expect(await read({ cursor: tail.cursor })).toMatchObject({ lines: [] });
    await print(1, 'd');
    expect(texts(await read({ cursor: tail.cursor }))).toEqual(['d']);
  });

  it.each(['', 'x', '0.0', '1', '1.-5', '01.5', '2.0'])(
    'that logs never returned is refused: %j',
    async (cursor) => {
      await expect(read({ cursor })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: 'The cursor is not one that logs returned for this run.',
        hint: 'Leave the cursor out to read from the start, or pass the last answer\'s "cursor".',
      });
    },
  );
});

describe('a page of a log', () => {
  it('says that nothing will be added only when the run is over and all was read', async () => {
    await print(1, 'a', 'b');
    expect(await read()).toMatchObject({ more: false, complete: false });
    project.fake.end(id);
    await project.tick();
    expect(await read({ limit: 1 })).toMatchObject({ more: true, complete: false });
    expect(await read()).toMatchObject({ more: false, complete: true });
    expect(await read({ tail: 1 })).toMatchObject({ complete: true });
  });

  it('is empty where nothing was printed, or the folder is gone', async () => {
    const empty = { lines: [], cursor: '1.0', more: false, gap: null };
    expect(await read()).toMatchObject(empty);
    rmSync(project.deps.layout.run(id), { recursive: true, force: true });
    expect(await read()).toMatchObject(empty);
    expect(await read({ tail: 5 })).toMatchObject(empty);
  });

  it('keeps to a stream and a time', async () => {
    await print(1, 'out');
    await appendLog({ dir: dirOf(1), stream: 'stderr', texts: ['err'], now: Date.parse(AT) + 1000 });
    expect(texts(await read({ stream: 'stderr' }))).toEqual(['err']);
    expect(texts(await read({ since: '2026-01-01T00:00:00.500Z' }))).toEqual(['err']);
    expect(texts(await read({ stream: 'stdout', since: '2026-01-01T00:00:00.500Z' }))).toEqual([]);
  });

  it('of a reused run is that of the run that did the work', async () => {
    await print(1, 'computed');
    await project.complete(id);
    const again = await project.submit({
      stages: ['one'],
      configOverride: { one: { compute: { timeout_seconds: 7 } } },
    });
    const reused = project.runOf(again.pipelineRun.id, 'one');
    expect(reused.cause).toBe('cached');
    const page = await readRunLogs(project.deps, { run: reused, limit: 10 });
    expect(page).toMatchObject({ runId: id, complete: true });
    expect(texts(page)).toEqual(['computed']);
  });
});
