import { isGoldfishError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';

export type PartError = { component: string; message: string };

/**
 * Reads the parts of an answer one by one: a part that cannot be read becomes a line in `errors`, and the rest of
 * the answer stands.
 */
export function partReader(log: Pick<Logger, 'error'>) {
  const errors: PartError[] = [];
  const read = async <T>(component: string, work: () => Promise<T> | T): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!isGoldfishError(error))
        log.error({ err: error, component }, 'a part of an answer could not be read');
      const message = isGoldfishError(error)
        ? `${error.message} ${error.hint ?? ''}`.trim()
        : 'It could not be read; the log has the error.';
      errors.push({ component, message });
      return undefined;
    }
  };
  return { read, errors };
}
