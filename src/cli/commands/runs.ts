import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import { untilInterrupted } from '../interrupt.ts';
import type { Row } from '../render/fields.ts';
import { rowsAt, textAt } from '../render/fields.ts';
import { runsTable } from '../render/runs-table.ts';
import { type AddCommand, given, parseNumber } from './command.ts';

type Options = {
  workspace?: string;
  stage?: string;
  state?: string;
  pipelineRun?: string;
  group?: string;
  since?: string;
  limit?: number;
  cursor?: string;
  watch?: true;
};

/** How often `--watch` looks again. */
const WATCH_MS = 1_000;
/** Clears the screen and what was scrolled off it, and goes to its top. */
const CLEAR = '\u001b[2J\u001b[3J\u001b[H';

export const addRuns: AddCommand = (program, perform) => {
  program
    .command('runs')
    .description('list runs, newest first')
    .option('--workspace <name>', 'of this workspace')
    .option('--stage <name>', 'of this stage')
    .option('--state <state>', 'in this state: pending, running, completed, failed, …')
    .option('--pipeline-run <id>', 'of this pipeline run')
    .option('--group <name>', 'of this group')
    .option('--since <time>', 'created at or after this time (2026-01-31T12:00Z)')
    .option('--limit <n>', 'at most this many (default 20, at most 100)', parseNumber)
    .option('--cursor <cursor>', 'the next page, as the last one named it')
    .option('--watch', 'show them again whenever they change, until Ctrl-C')
    .action((options: Options) =>
      perform((cli) => {
        const args = given({
          workspace: options.workspace,
          stage: options.stage,
          state: options.state,
          pipeline_run_id: options.pipelineRun,
          group: options.group,
          since: options.since,
          limit: options.limit,
          cursor: options.cursor,
        });
        return options.watch ? watchRuns(cli, args) : listRuns(cli, args);
      }),
    );
};

async function listRuns(cli: Cli, args: Row): Promise<undefined> {
  const answer = await cli.call('list_runs', args);
  cli.show(answer, () => {
    showRuns(cli, answer);
    const cursor = textAt(answer, 'next_cursor');
    if (cursor !== '')
      cli.note(`more: ${cli.command({ tool: 'list_runs', arguments: { ...args, cursor } })}`);
  });
  return undefined;
}

function showRuns(cli: Cli, answer: Row): void {
  const rows = rowsAt(answer, 'runs');
  if (rows.length === 0) cli.note('No runs.');
  else cli.print(runsTable(rows, cli));
  for (const error of rowsAt(answer, 'errors')) {
    cli.note(`not read: ${textAt(error, 'component')}: ${textAt(error, 'message')}`);
  }
}

/** A screen that renews itself on a terminal; piped, a new table (or line of JSON) for each change. */
async function watchRuns(cli: Cli, args: Row): Promise<Exit> {
  const { out } = cli.streams;
  const { interrupted } = await untilInterrupted(async (signal) => {
    let shown = '';
    while (!signal.aborted) {
      const answer = await cli.call('list_runs', args, { signal });
      const state = JSON.stringify(rowsAt(answer, 'runs'));
      if (state !== shown || out.isTerminal) {
        if (out.isTerminal && !cli.options.json) out.write(CLEAR);
        cli.show(answer, () => showRuns(cli, answer));
        shown = state;
      }
      await pause(cli, answer, signal);
    }
  });
  return interrupted ? 'interrupted' : 'ok';
}

/** Waits a moment. Where work is open it waits with the tool that keeps an eye on the supervisor. */
async function pause(cli: Cli, answer: Row, signal: AbortSignal): Promise<void> {
  const open = rowsAt(answer, 'runs').find((row) => textAt(row, 'ended_at') === '');
  if (!open) return cli.clock.sleep(WATCH_MS, { signal });
  const targets = [textAt(open, 'run_id')];
  await cli.call('wait', { targets, timeout_seconds: WATCH_MS / 1_000 }, { signal });
}
