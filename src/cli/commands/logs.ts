import { MAX_TAIL } from '../../tools/logs.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import { untilInterrupted } from '../interrupt.ts';
import { isTrue, type Row, rowsAt, textAt } from '../render/fields.ts';
import { type AddCommand, given, parseNumber } from './command.ts';

type Options = {
  follow?: true;
  stream?: string;
  tail?: number;
  grep?: string;
  since?: string;
  cursor?: string;
};

/** How long a follower waits before it looks for new lines. */
const LOOK_SECONDS = 0.5;

export const addLogs: AddCommand = (program, perform) => {
  program
    .command('logs')
    .description('print what a run printed')
    .argument('<run>', 'id or prefix of a run')
    .option('-f, --follow', 'go on until the run is over')
    .option('--stream <name>', 'stdout, stderr, build or all')
    .option('--tail <n>', 'only the last n lines', parseNumber)
    .option('--grep <text>', 'only lines with this text')
    .option('--since <time>', 'only lines printed since this time')
    .option('--cursor <cursor>', 'go on from here')
    .action((run: string, options: Options) => perform((cli) => logs(cli, run, options)));
};

async function logs(cli: Cli, run: string, options: Options): Promise<Exit> {
  const { stream, grep, since } = options;
  const args = { run_id: run, ...given({ stream, grep, since }) };
  const { result, interrupted } = await untilInterrupted((signal) => readLog(cli, args, { options, signal }));
  if (cli.options.json && !options.follow) cli.show(result, () => undefined);
  if (!interrupted) return 'ok';
  const again = cli.command({ tool: 'logs', arguments: { ...args, cursor: textAt(result, 'cursor') } });
  cli.note(`Stopped watching; the run goes on. Read on: ${again} --follow`);
  return 'interrupted';
}

type Reading = { options: Options; signal: AbortSignal };

/** Reads page after page and shows each; resolves to the last answer, with the lines of all where they were kept. */
async function readLog(cli: Cli, args: Row, { options, signal }: Reading): Promise<Row> {
  const next = (cursor: string | undefined) => cli.call('logs', { ...args, ...given({ cursor }) });
  const kept: Row[] = [];
  let page =
    options.tail === undefined ? await next(options.cursor) : await lastLines(cli, args, options.tail);
  for (;;) {
    const cursor = textAt(page, 'cursor');
    showPage(cli, page, options);
    if (cli.options.json && !options.follow) kept.push(...rowsAt(page, 'lines'));
    const isOver = isTrue(page, 'complete') || signal.aborted || (!options.follow && !isTrue(page, 'more'));
    if (isOver) return { ...page, lines: kept };
    if (!isTrue(page, 'more')) await pause(cli, args, signal);
    page = await next(cursor);
    // More was announced and did not come: a page that stands still is the end of what there is.
    if (textAt(page, 'cursor') === cursor && rowsAt(page, 'lines').length === 0)
      page = { ...page, more: false };
  }
}

/**
 * The last `count` lines as one page. The tool gives as many as its answer may hold; where that is fewer than were
 * asked for, the whole log is read and its end kept.
 */
async function lastLines(cli: Cli, args: Row, count: number): Promise<Row> {
  const tail = await cli.call('logs', { ...args, tail: Math.min(count, MAX_TAIL) });
  if (rowsAt(tail, 'lines').length >= count) return tail;
  let lines: Row[] = [];
  let page = await cli.call('logs', args);
  for (;;) {
    lines = [...lines, ...rowsAt(page, 'lines')].slice(-count);
    const cursor = textAt(page, 'cursor');
    if (!isTrue(page, 'more')) return { ...page, lines };
    page = await cli.call('logs', { ...args, cursor });
    if (textAt(page, 'cursor') === cursor) return { ...page, more: false, lines };
  }
}

/** Each line once, as it was printed; with `--json --follow` a JSON document for each page that has lines. */
function showPage(cli: Cli, page: Row, options: Options): void {
  const lines = rowsAt(page, 'lines');
  if (cli.options.json) {
    if (options.follow && lines.length > 0) cli.show(page, () => undefined);
    return;
  }
  if (lines.length > 0) cli.print(lines.map((line) => textAt(line, 'text')).join('\n'));
}

/** Sleeps in the tool that wakes up when the run ends and keeps an eye on the supervisor. */
async function pause(cli: Cli, args: Row, signal: AbortSignal): Promise<void> {
  await cli.call('wait', { targets: [args['run_id']], timeout_seconds: LOOK_SECONDS }, { signal });
}
