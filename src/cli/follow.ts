import type { Cli } from './cli.ts';
import type { Exit } from './exit-codes.ts';
import { untilInterrupted } from './interrupt.ts';
import { progressLine } from './progress-line.ts';
import { isTrue, type Row, rowAt, rowsAt, textAt } from './render/fields.ts';

/** One bounded wait; the tool's own limit may be lower. */
const ONE_WAIT_SECONDS = 45;

export type FollowRequest = {
  targets: readonly string[];
  until: 'all' | 'any';
  /** Seconds; absent: as long as it takes. */
  timeoutSeconds?: number;
};

export type Followed = {
  /** The last answer of `wait`, with the changes of all of them. */
  answer: Row;
  exit: Exit;
};

/** Repeats bounded waits until the work is over, the time is up or somebody presses Ctrl-C. */
export async function followRuns(cli: Cli, request: FollowRequest): Promise<Followed> {
  const line = progressLine(cli);
  const { result, interrupted } = await untilInterrupted((signal) =>
    waitAgain(cli, request, { line, signal }),
  );
  line.clear();
  return { answer: result, exit: exitOf(result, interrupted) };
}

type Watching = { line: ReturnType<typeof progressLine>; signal: AbortSignal };

async function waitAgain(cli: Cli, request: FollowRequest, { line, signal }: Watching): Promise<Row> {
  const { targets, until, timeoutSeconds = Number.POSITIVE_INFINITY } = request;
  const deadline = cli.clock.monotonic() + timeoutSeconds * 1_000;
  const changes: Row[] = [];
  let cursor: string | undefined;
  for (;;) {
    const left = Math.max(0, (deadline - cli.clock.monotonic()) / 1_000);
    const answer = await cli.call(
      'wait',
      {
        targets,
        until,
        timeout_seconds: Math.min(left, ONE_WAIT_SECONDS),
        ...(cursor === undefined ? {} : { cursor }),
      },
      { signal, progress: line.update },
    );
    cursor = textAt(answer, 'cursor') || cursor;
    changes.push(...rowsAt(answer, 'changes'));
    const isOver = isTrue(answer, 'done') || signal.aborted || cli.clock.monotonic() >= deadline;
    if (isOver) return { ...answer, changes };
  }
}

const OVER = ['completed', 'failed', 'terminated', 'canceled'];

function exitOf(answer: Row, interrupted: boolean): Exit {
  if (!isTrue(answer, 'done')) return interrupted ? 'interrupted' : 'timedOut';
  const ended = rowsAt(answer, 'targets').filter((target) => OVER.includes(textAt(target, 'state')));
  return ended.every((target) => textAt(target, 'state') === 'completed') ? 'ok' : 'failed';
}

/** What a watcher is told on the side when the watching has ended. */
export function noteEnd(cli: Cli, followed: Followed, targets: readonly string[]): void {
  const again = cli.command({ tool: 'wait', arguments: { targets } });
  if (followed.exit === 'interrupted') cli.note(`Stopped watching; the work goes on. Watch again: ${again}`);
  if (followed.exit === 'timedOut') {
    const eta = textAt(rowAt(followed.answer, 'eta') ?? {}, 'p50');
    cli.note(`Not over yet${eta === '' ? '' : `, about ${eta} s to go`}. Wait again: ${again}`);
  }
  for (const blocked of rowsAt(followed.answer, 'blocked')) {
    cli.note(
      `${textAt(blocked, 'stage')} (${textAt(blocked, 'run_id')}) waits for ${textAt(blocked, 'blocked_by')}`,
    );
  }
  noteAttention(cli, followed.answer);
}

/** What needs a decision, each with the command that helps. */
export function noteAttention(cli: Cli, answer: Row): void {
  for (const item of rowsAt(answer, 'attention')) {
    cli.note(textAt(item, 'message'));
    const call = rowAt(item, 'call');
    if (call) {
      cli.note(
        `  try: ${cli.command({ tool: textAt(call, 'tool'), arguments: rowAt(call, 'arguments') ?? {} })}`,
      );
    }
  }
}

/** `next: goldfish …` where the answer names a next call. */
export function noteNext(cli: Cli, answer: Row): void {
  const next = rowAt(answer, 'next');
  if (next)
    cli.note(
      `next: ${cli.command({ tool: textAt(next, 'tool'), arguments: rowAt(next, 'arguments') ?? {} })}`,
    );
}
