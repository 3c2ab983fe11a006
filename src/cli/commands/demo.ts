import type { AddCommand } from './command.ts';

export const addDemo: AddCommand = (program, perform) => {
  program
    .command('demo')
    .description('run a real experiment in a new project, as an agent would')
    .option('--folder <dir>', 'where the project is made; default: a temporary folder')
    .action((options: { folder?: string }) =>
      perform(async (cli) => {
        const { runDemo } = await import('../demo/demo.ts');
        const folder = options.folder ?? cli.options.project;
        const code = await runDemo({
          json: cli.options.json === true,
          ...(folder === undefined ? {} : { folder }),
        });
        return code === 0 ? 'ok' : 'failed';
      }),
    );
};
