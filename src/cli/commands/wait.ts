import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import { followRuns, noteEnd } from '../follow.ts';
import { rowsAt, stateAt, textAt } from '../render/fields.ts';
import { stateStyle } from '../render/style.ts';
import { type AddCommand, parseNumber } from './command.ts';

type Options = { any?: true; timeout?: number };

export const addWait: AddCommand = (program, perform) => {
  program
    .command('wait')
    .description('wait until runs or pipeline runs are over; fails when one did not complete')
    .argument('<targets...>', 'ids or prefixes')
    .option('--any', 'until the first of them is over')
    .option('--timeout <seconds>', 'no longer than this; default: as long as it takes', parseNumber)
    .action((targets: string[], options: Options) => perform((cli) => wait(cli, targets, options)));
};

async function wait(cli: Cli, targets: string[], options: Options): Promise<Exit> {
  const { any, timeout } = options;
  const followed = await followRuns(cli, {
    targets,
    until: any ? 'any' : 'all',
    ...(timeout === undefined ? {} : { timeoutSeconds: timeout }),
  });
  cli.show(followed.answer, () => {
    for (const target of rowsAt(followed.answer, 'targets')) {
      const state = stateAt(target);
      cli.confirm(`${textAt(target, 'id')} ${cli.style(stateStyle(textAt(target, 'state')), state)}`);
    }
  });
  noteEnd(cli, followed, targets);
  return followed.exit;
}
