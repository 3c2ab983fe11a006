import type { Cli } from '../cli.ts';
import { noteAttention, noteNext } from '../follow.ts';
import { isTrue, type Row, rowAt, rowsAt, textAt } from '../render/fields.ts';
import { stateStyle } from '../render/style.ts';
import type { AddCommand } from './command.ts';

export const addStatus: AddCommand = (program, perform) => {
  program
    .command('status')
    .description('slots, active runs, and what needs a decision')
    .option('--config', 'every setting, with where it comes from')
    .action((options: { config?: true }) =>
      perform(async (cli) => {
        const answer = await cli.call('status', options.config ? { include: ['config'] } : {});
        cli.show(answer, () => (options.config ? showConfig(cli, answer) : showStatus(cli, answer)));
        return undefined;
      }),
    );
};

function showStatus(cli: Cli, answer: Row): void {
  const project = rowAt(answer, 'project');
  const counts = rowAt(answer, 'counts');
  if (project)
    cli.print(`${cli.style('bold', textAt(project, 'name'))}${counts ? `: ${countsText(counts)}` : ''}`);
  const backend = rowAt(answer, 'backend');
  if (backend) cli.print(`backend ${textAt(backend, 'name')}: ${textAt(backend, 'why')}`);
  showSlots(cli, rowsAt(answer, 'slots'));
  showActive(cli, rowsAt(answer, 'active_runs'));
  for (const error of rowsAt(answer, 'errors')) {
    cli.print(`not read: ${textAt(error, 'component')}: ${textAt(error, 'message')}`);
  }
  noteAttention(cli, answer);
  noteNext(cli, answer);
}

function countsText(counts: Row): string {
  const word = (key: string, noun: string): string => {
    const n = textAt(counts, key);
    return `${n} ${noun}${n === '1' ? '' : 's'}`;
  };
  return `${word('workspaces', 'workspace')}, ${word('versions', 'version')}, ${word('runs', 'run')}, ${textAt(counts, 'active_runs')} active`;
}

function showSlots(cli: Cli, slots: readonly Row[]): void {
  if (slots.length === 0) return;
  cli.print('');
  cli.table(
    [
      { title: 'slot' },
      { title: 'workspace' },
      { title: 'version' },
      { title: 'files', style: () => 'yellow' },
      { title: 'goal', shrinks: true },
    ],
    slots.map((row) => [
      textAt(row, 'path'),
      textAt(row, 'workspace') || '(empty)',
      textAt(row, 'version'),
      isTrue(row, 'dirty') ? 'edited' : '',
      textAt(row, 'goal'),
    ]),
  );
}

function showActive(cli: Cli, runs: readonly Row[]): void {
  if (runs.length === 0) return;
  cli.print('');
  cli.table(
    [
      { title: 'active run' },
      { title: 'stage' },
      { title: 'state', style: stateStyle },
      { title: 'workspace' },
      { title: 'pipeline run', style: () => 'dim' },
    ],
    runs.map((row) => [
      textAt(row, 'run_id'),
      textAt(row, 'stage'),
      textAt(row, 'state'),
      textAt(row, 'workspace'),
      textAt(row, 'pipeline_run_id'),
    ]),
  );
}

function showConfig(cli: Cli, answer: Row): void {
  cli.table(
    [{ title: 'key' }, { title: 'value', shrinks: true }, { title: 'origin', style: () => 'dim' }],
    rowsAt(answer, 'config').map((row) => [
      textAt(row, 'key'),
      JSON.stringify(row['value'] ?? null),
      textAt(row, 'origin'),
    ]),
  );
}
