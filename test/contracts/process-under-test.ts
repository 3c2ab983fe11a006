import { createProcessBackend, environmentKey } from '../../src/backends/process/process-backend.ts';
import { type BackendUnderTest, findProcesses, killWrapper } from './backend-harness.ts';

export function processUnderTest(sandbox: 'none' | 'bubblewrap'): BackendUnderTest {
  return {
    make: (options) => ({
      backend: createProcessBackend({ ...options, sandbox }),
      environmentKey: (files) => environmentKey(options, files),
    }),
    loseExecutor: killWrapper,
    remains: async (handle) => (await findProcesses(handle.runId)).map(String),
    recorded: async () => '',
  };
}
