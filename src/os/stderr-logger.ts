import type { Logger } from '../core/logger.ts';

/** Lines on stderr, which clients keep, where no file may be written or none is there yet. */
export const stderrLogger: Logger = {
  debug: () => undefined,
  info: at('info'),
  warn: at('warn'),
  error: at('error'),
};

function at(level: 'info' | 'warn' | 'error') {
  return (fields: Record<string, unknown>, message: string): void => {
    process.stderr.write(`goldfish ${level}: ${message} ${describe(fields)}\n`);
  };
}

function describe(fields: Record<string, unknown>): string {
  const plain = Object.entries(fields).map(([key, value]) => [
    key,
    value instanceof Error ? { message: value.message, stack: value.stack } : value,
  ]);
  return JSON.stringify(Object.fromEntries(plain));
}
