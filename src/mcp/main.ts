import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { TOOLSETS, type Toolset } from '../tools/toolsets.ts';
import type { StdioOptions } from './stdio.ts';
import { takeStdout } from './take-stdout.ts';

const USAGE = 'usage: goldfish serve [--project DIR] [--toolsets core|default|all[,…]] [--read-only]';

/**
 * `goldfish serve`, reached without the command line's own modules: whatever is imported here delays `initialize`.
 * Never returns: the process ends with the client.
 */
export async function serveMain(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<never> {
  const options = readOptions(argv, environment);
  // Before anything else is loaded: from here on nobody but the protocol writes to stdout.
  const output = takeStdout();
  const { serveStdio } = await import('./stdio.ts');
  return serveStdio(options, output);
}

function readOptions(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): StdioOptions {
  const values = parse(argv);
  const project = values.project ?? (environment['GOLDFISH_PROJECT'] || undefined);
  return {
    startFolder: resolve(project ?? '.'),
    named: project !== undefined,
    readOnly: values['read-only'] ? 'always' : 'as_configured',
    ...(values.toolsets === undefined ? {} : { toolsets: readToolsets(values.toolsets) }),
  };
}

function parse(argv: readonly string[]): { project?: string; toolsets?: string; 'read-only'?: boolean } {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        project: { type: 'string' },
        toolsets: { type: 'string' },
        'read-only': { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : 'bad options');
  }
}

function readToolsets(text: string): Toolset[] {
  return text.split(',').map((word) => {
    const found = TOOLSETS.find((toolset) => toolset === word.trim());
    return found ?? refuse(`unknown toolset "${word}"; allowed are ${TOOLSETS.join(', ')}`);
  });
}

function refuse(why: string): never {
  process.stderr.write(`goldfish: ${why}\n${USAGE}\n`);
  process.exit(2);
}

if (import.meta.main) await serveMain(process.argv.slice(2), {});
