import { execute } from '../../src/cli/program.ts';

/** A command in this process, off a terminal: its exit code, and what it wrote. */
export async function goldfishIn(
  cwd: string,
  argv: string[],
): Promise<{ code: number; out: string; err: string }> {
  const written = { out: '', err: '' };
  const sink = (name: 'out' | 'err') => ({
    write: (text: string) => {
      written[name] += text;
    },
    isTerminal: false,
    columns: () => undefined,
  });
  const streams = { out: sink('out'), err: sink('err') };
  const code = await execute(argv, { streams, environment: {}, cwd });
  return { code, ...written };
}
