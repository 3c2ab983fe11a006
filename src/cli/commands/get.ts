import { relative, resolve } from 'node:path';
import type { AddCommand } from './command.ts';

export const addGet: AddCommand = (program, perform) => {
  program
    .command('get')
    .description('copy an output of a run out of the project; nothing that exists is replaced')
    .argument('<run>', 'id or prefix of a run')
    .argument('<output>', 'the name of the output')
    .argument('[dest]', 'a folder, or the name of the copy; default: here')
    .action((runId: string, output: string, dest: string | undefined) =>
      perform(async (cli) => {
        const root = await cli.projectRoot();
        const [{ openContext }, { exportOutput }] = await Promise.all([
          import('../../context.ts'),
          import('../../runs/export-output.ts'),
        ]);
        const context = await openContext({ root });
        try {
          const to = resolve(cli.cwd, dest ?? '.');
          const done = await exportOutput(context.runsDeps, { runId, output, to });
          const { kind, hash, size } = done.output;
          const path = relative(cli.cwd, done.path) || '.';
          cli.show({ run_id: done.runId, output, path, kind, hash, size }, () => cli.print(path));
        } finally {
          await context.close();
        }
        return undefined;
      }),
    );
};
