import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../core/logger.ts';

/**
 * A log file of JSON lines, readable by its owner only. The library is imported with the first line that is written.
 * `hide` takes out of each line what no log may hold.
 */
export async function createLogger(file: string, hide: (line: string) => string): Promise<Logger> {
  // A disk that refuses this refuses what matters more, and says so there.
  await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch(() => undefined);
  let opening: Promise<{ logger: Logger }> | undefined;
  const open = async (): Promise<{ logger: Logger }> => {
    const { destination, pino, stdTimeFunctions } = await import('pino');
    const target = destination({ dest: file, append: true, mode: 0o600, sync: true });
    const hooks = { streamWrite: hide };
    const options = { base: { pid: process.pid }, timestamp: stdTimeFunctions.isoTime, hooks };
    return { logger: pino(options, target) };
  };
  const at =
    (level: keyof Logger) =>
    (fields: Record<string, unknown>, message: string): void => {
      opening ??= open();
      opening.then(({ logger }) => logger[level](fields, message)).catch(() => undefined);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
