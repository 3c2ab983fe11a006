import { poolText } from '../render/pool.ts';
import type { AddCommand } from './command.ts';
import { addToolCommand, REASON } from './tool-command.ts';

export const addPool: AddCommand = (program, perform) => {
  const pool = program
    .command('pool')
    .description('rented machines: what there is, what it costs, what it saved')
    .helpCommand(false)
    .action(() =>
      perform(async (cli) => {
        const answer = await cli.call('warm_pool_status', {});
        cli.show(answer, () => cli.print(poolText(answer, cli)));
        return undefined;
      }),
    );
  addToolCommand(pool, perform, {
    name: 'cleanup',
    description: 'give back machines that have no work, or one of them',
    tool: 'warm_pool_cleanup',
    positional: [{ word: '[worker]', description: 'id or prefix; default: all without work', key: 'worker' }],
    options: [REASON],
  });
};
