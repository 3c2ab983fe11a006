import { noteNext } from '../follow.ts';
import { rowsAt, textAt } from '../render/fields.ts';
import { stateStyle } from '../render/style.ts';
import type { AddCommand } from './command.ts';

export const addCancel: AddCommand = (program, perform) => {
  program
    .command('cancel')
    .description('stop a run, or every run of a pipeline run')
    .argument('<target>', 'id or prefix of a run or pipeline run')
    .requiredOption('--reason <text>', 'why, for the audit (at least 15 characters)')
    .action((target: string, options: { reason: string }) =>
      perform(async (cli) => {
        const answer = await cli.call('cancel', { target, reason: options.reason });
        cli.show(answer, () => {
          if (cli.options.quiet) return;
          cli.table(
            [
              { title: 'run' },
              { title: 'stage' },
              { title: 'state', style: stateStyle },
              { title: 'outcome' },
            ],
            rowsAt(answer, 'runs').map((row) => [
              textAt(row, 'run_id'),
              textAt(row, 'stage'),
              textAt(row, 'state'),
              textAt(row, 'outcome'),
            ]),
          );
          noteNext(cli, answer);
        });
        return undefined;
      }),
    );
};
