import type { ProcessBackendOptions } from '../../src/backends/process/options.ts';
import { createProcessBackend, environmentKey } from '../../src/backends/process/process-backend.ts';
import { type BackendHarness, openHarness as openBackend } from '../contracts/backend-harness.ts';
import { processUnderTest } from '../contracts/process-under-test.ts';

export type Harness = BackendHarness & { options: ProcessBackendOptions };

/** A project folder with a process backend over it, without store and supervisor. */
export async function openHarness(
  sandbox: ProcessBackendOptions['sandbox'],
  change: Partial<ProcessBackendOptions> = {},
): Promise<Harness> {
  let options: ProcessBackendOptions | undefined;
  const harness = await openBackend({
    ...processUnderTest('none'),
    make: (host) => {
      const own = { ...host, sandbox, ...change };
      options ??= own;
      return {
        backend: createProcessBackend(own),
        environmentKey: (files) => environmentKey(own, files),
      };
    },
  });
  if (!options) throw new Error('the backend was not made');
  return { ...harness, options };
}
