import { noteNext } from '../follow.ts';
import { textAt } from '../render/fields.ts';
import { type AddCommand, given } from './command.ts';

export const addMount: AddCommand = (program, perform) => {
  program
    .command('mount')
    .description('put the files of a workspace into a slot')
    .argument('<workspace>')
    .requiredOption('--reason <text>', 'why, for the audit (at least 15 characters)')
    .option('--slot <name>', 'this slot; default: the first free one')
    .action((workspace: string, options: { reason: string; slot?: string }) =>
      perform(async (cli) => {
        const { reason, slot } = options;
        const answer = await cli.call('mount', { workspace, reason, ...given({ slot }) });
        cli.show(answer, () => {
          cli.print(textAt(answer, 'path'));
          noteNext(cli, answer);
        });
        return undefined;
      }),
    );
};
