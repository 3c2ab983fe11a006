import { noteNext } from '../follow.ts';
import { isTrue, textAt, textsAt } from '../render/fields.ts';
import type { AddCommand } from './command.ts';

export const addInit: AddCommand = (program, perform) => {
  program
    .command('init')
    .description('make this folder a project; with --project DIR, that folder')
    .argument('<name>', 'name of the project')
    .action((name: string) =>
      perform(async (cli) => {
        const answer = await cli.call('initialize_project', { name });
        cli.show(answer, () => {
          const project = textAt(answer, 'project');
          const slots = textsAt(answer, 'slots').join(', ');
          cli.confirm(
            isTrue(answer, 'created')
              ? `Project ${project} is created, with the slots ${slots}.`
              : `There is a project here already, ${project}; nothing was changed.`,
          );
          noteNext(cli, answer);
        });
        return undefined;
      }),
    );
};
