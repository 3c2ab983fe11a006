import { formatBytes } from '../../core/memory-size.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import type { AddCommand } from './command.ts';

export const addGc: AddCommand = (program, perform) => {
  program
    .command('gc')
    .description('free what no record, tag, source or cache needs, by the rules of storage.keep')
    .option('--dry-run', 'only say what would go')
    .action((options: { dryRun?: true }) => perform((cli) => freeSpace(cli, options.dryRun === true)));
};

async function freeSpace(cli: Cli, dryRun: boolean): Promise<Exit> {
  const root = await cli.projectRoot();
  const [{ openContext }, { collectGarbage }] = await Promise.all([
    import('../../context.ts'),
    import('../../data/gc.ts'),
  ]);
  const context = await openContext({ root });
  try {
    const report = await collectGarbage(context.runsDeps, { dryRun });
    const answer = {
      dry_run: report.dryRun,
      freed_bytes: report.freedBytes,
      state_bytes: report.stateBytes,
      later_bytes: report.laterBytes,
      freed: report.freed.map(({ kind, what, bytes, why }) => ({ kind, what, bytes, why })),
      problems: report.problems,
    };
    cli.show(answer, () => {
      if (answer.freed.length > 0 && !cli.options.quiet) {
        cli.table(
          [
            { title: 'kind' },
            { title: 'what', shrinks: true },
            { title: 'size', align: 'right' },
            { title: 'why' },
          ],
          answer.freed.map(({ kind, what, bytes, why }) => [kind, what, formatBytes(bytes), why]),
        );
      }
      const verb = dryRun ? 'would be freed' : 'freed';
      cli.print(
        `${formatBytes(report.freedBytes)} of ${formatBytes(report.stateBytes)} ${verb}; ${formatBytes(report.laterBytes)} may go later.`,
      );
      for (const { kind, message } of report.problems) cli.note(`${kind}: ${message}`);
    });
    return report.problems.length === 0 ? 'ok' : 'failed';
  } finally {
    await context.close();
  }
}
