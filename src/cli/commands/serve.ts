import { hostEnvironment } from '../../config/host.ts';
import type { AddCommand } from './command.ts';

/** `goldfish serve` itself never comes here (see main.ts); its help does, and `goldfish --project DIR serve`. */
export const addServe: AddCommand = (program, perform) => {
  program
    .command('serve')
    .description('serve an MCP client over stdin and stdout')
    .option('--toolsets <names>', 'core, default or all; several with commas')
    .option('--read-only', 'offer only tools that change nothing, and write nothing')
    .action((options: { toolsets?: string; readOnly?: boolean }) =>
      perform(async (cli) => {
        const { serveMain } = await import('../../mcp/main.ts');
        const { project } = cli.options;
        const argv = [
          ...(project === undefined ? [] : [`--project=${project}`]),
          ...(options.toolsets === undefined ? [] : [`--toolsets=${options.toolsets}`]),
          ...(options.readOnly ? ['--read-only'] : []),
        ];
        return serveMain(argv, hostEnvironment());
      }),
    );
};
