import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'vitest';
import { SEGMENT_BYTES } from '../../../src/backends/log-format.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { hashJson, type JsonObject } from '../../../src/core/json.ts';
import type { Backend, Server } from '../kit/fault-project.ts';
import { leftovers } from '../kit/leftovers.ts';
import { createTally, type Tally } from '../kit/tally.ts';
import { FLOOD_BYTES, FLOOD_LINE, MARK, METRIC_LINES, PROGRAMS } from './programs.ts';
import { createStageProject, hasEngine, NEEDS_ENGINE, type StageProject } from './stage-project.ts';

/** What is kept of a log: the first segment, and seven of the newest. */
const MOST_LOG_BYTES = 8 * SEGMENT_BYTES;
/** A line of the flood with time and stream before it. */
const RECORD_BYTES = FLOOD_LINE + 28;
const SECONDS = 400;

/** What the kernel lets the run wrapper limit without a container. */
const PROBE = `
import sys; sys.path.insert(0, sys.argv[1])
import wrapper_cgroups as c
g = c.make_groups('goldfish-probe-%s' % sys.argv[2], {'memory': 10**8, 'pids': 10})
print(*sorted(g.limits)); g.remove()
`;
const runtime = dirname(assetPath('runtime/run_wrapper.py'));
const limits = spawnSync('python3', ['-B', '-c', PROBE, runtime, `${process.pid}`], {
  encoding: 'utf8',
}).stdout;

function runsOn(backend: Backend, name: string): boolean {
  const limit = PROGRAMS[name]?.limit;
  return backend === 'docker' || limit === undefined || limits.includes(limit);
}

describe.for(['process', 'docker'] as const)('programs that misbehave on %s', (backend) => {
  const names = Object.keys(PROGRAMS).filter((name) => runsOn(backend, name));
  const absent = Object.keys(PROGRAMS).filter((name) => !names.includes(name));
  const skip = backend === 'docker' && !hasEngine;

  it.skipIf(skip)(
    `end with their true causes and leave nothing behind: ${names.join(', ')}${skip ? NEEDS_ENGINE : ''}`,
    async () => {
      const stages = Object.fromEntries(names.map((name) => [name, PROGRAMS[name] ?? { code: '' }]));
      const opened = await createStageProject({ backend, stages });
      try {
        const tally = createTally();
        const runs = await opened.run();
        for (const name of names) await judge({ opened, tally, name, runId: runs[name] ?? '' });
        const note = await judgeFlood(opened, tally, runs['flood'] ?? '');
        await judgeMetrics(opened, tally, runs['counter'] ?? '');
        await opened.server.close();
        await opened.project.endPrograms('SIGTERM');
        const left = [...(await leftovers(opened.project.place())), ...sleepers()];
        tally.count('no-leftovers', left.length === 0 ? undefined : left.join('; '));
        tally.state({ fault: `programs that misbehave: ${names.join(', ')}`, backend, note });
      } finally {
        await opened.close();
      }
    },
  );

  it.skipIf(absent.length > 0)('are all tried here (needs control groups: run as root)', () => undefined);
});

type Judged = { opened: StageProject; tally: Tally; name: string; runId: string };

async function judge({ opened, tally, name, runId }: Judged): Promise<void> {
  const run = await opened.over(runId, SECONDS);
  const program = PROGRAMS[name];
  if (program === undefined) throw new Error(`there is no program ${name}`);
  const signals: readonly unknown[] = program.signals ?? [null];
  const attempts = run['attempts'] as JsonObject[];
  const failure = run['failure'] as JsonObject | null;
  const isRight =
    run['cause'] === program.cause &&
    attempts.length === 1 &&
    run['exit_code'] === program.exitCode &&
    signals.includes(run['signal']) &&
    (failure?.['message'] ?? run['message']) === program.message;
  tally.count('right-end', isRight ? undefined : `${name}: ${JSON.stringify(run)}`);
}

/** The log is bounded, begins with the beginning, ends with the end, and is read on from its cursor. */
async function judgeFlood(
  { project, server, inspect }: StageProject,
  tally: Tally,
  runId: string,
): Promise<string> {
  const { log } = project.layout.attempt(runId, 1);
  const bytes = readdirSync(log).reduce((sum, file) => sum + statSync(join(log, file)).size, 0);
  tally.count('outputs', bytes <= MOST_LOG_BYTES ? undefined : `${bytes} bytes of log`);
  tally.count('outputs', await wrongGap(server, runId, log));
  const last = FLOOD_BYTES / FLOOD_LINE - 1;
  const tail = await server.call('logs', { run_id: runId, tail: 3 });
  const seen = numbers(tail);
  tally.count(
    'outputs',
    seen.join() === [last - 2, last - 1, last].join() ? undefined : `tail ${seen.join()}`,
  );
  let [page, next] = [await server.call('logs', { run_id: runId }), 0];
  for (let pages = 0; pages < 20; pages += 1) {
    const lines = numbers(page);
    const wrong = lines.find((line, at) => line !== next + at);
    tally.count(
      'outputs',
      wrong === undefined && lines.length > 0 ? undefined : `line ${wrong} after ${next}`,
    );
    next += lines.length;
    page = await server.call('logs', { run_id: runId, cursor: String(page['cursor']) });
  }
  const run = await inspect(runId, 'attempts');
  const [attempt] = run['attempts'] as JsonObject[];
  const tookMs = Date.parse(String(attempt?.['ended_at'])) - Date.parse(String(attempt?.['started_at']));
  const rate = Math.round(FLOOD_BYTES / (1 << 20) / (tookMs / 1000));
  return `a flood of ${FLOOD_BYTES >> 20} MB at ${rate} MB/s left ${bytes >> 20} MB of log; ${METRIC_LINES} metric lines`;
}

/** Behind the first segment the log says how much was dropped, and goes on with the line that comes after it. */
async function wrongGap(server: Server, runId: string, log: string): Promise<string | undefined> {
  const [first = '', second = ''] = readdirSync(log).sort();
  const [from, to] = [statSync(join(log, first)).size, Number(second.replace('.log', ''))];
  if (to <= from) return `nothing was dropped: ${first} ends where ${second} begins`;
  const page = await server.call('logs', { run_id: runId, cursor: `1.${from}` });
  const isRight = page['dropped_bytes'] === to - from && numbers(page)[0] === to / RECORD_BYTES;
  return isRight ? undefined : `dropped ${page['dropped_bytes']} bytes before line ${numbers(page)[0]}`;
}

function numbers(page: JsonObject): number[] {
  return (page['lines'] as { text: string }[]).map(({ text }) => Number(text));
}

async function judgeMetrics({ project, server }: StageProject, tally: Tally, runId: string): Promise<void> {
  const rows = project.db
    .prepare<Record<string, number>>(
      `SELECT count(*) AS points, count(DISTINCT step) AS steps, min(step) AS first, max(step) AS last,
         sum(value <> step) AS others FROM metrics WHERE run_id = ?`,
    )
    .get(runId);
  const last = METRIC_LINES - 1;
  const whole = { points: METRIC_LINES, steps: METRIC_LINES, first: 0, last, others: 0 };
  tally.count('outputs', hashJson(rows) === hashJson(whole) ? undefined : `points: ${JSON.stringify(rows)}`);
  const { summary } = await server.call('metrics', { run_ids: [runId] });
  const told = { [runId]: { loss: { last, min: 0, max: last, count: METRIC_LINES } } };
  tally.count(
    'outputs',
    hashJson(summary) === hashJson(told) ? undefined : `metrics say ${JSON.stringify(summary).slice(0, 300)}`,
  );
}

/** Processes of ours by their words, whatever they did to their environment and their session. */
function sleepers(): string[] {
  return globSync('/proc/[0-9]*/cmdline').filter((file) => {
    try {
      return readFileSync(file, 'latin1').split('\0').includes(MARK);
    } catch {
      return false;
    }
  });
}
