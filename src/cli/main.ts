import { hostEnvironment } from '../config/host.ts';

/**
 * The program behind `goldfish`. A server is started without the command line's own modules, because a client waits
 * for its first answer.
 */
const argv = process.argv.slice(2);
const environment = hostEnvironment();

if (argv[0] === 'serve' && !argv.includes('--help') && !argv.includes('-h')) {
  const { serveMain } = await import('../mcp/main.ts');
  await serveMain(argv.slice(1), environment);
} else {
  const { runCommandLine } = await import('./program.ts');
  await runCommandLine(argv, environment);
}
