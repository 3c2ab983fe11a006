import { spawnSync } from 'node:child_process';
import { createProcessBackend, environmentKey } from '../../src/backends/process/process-backend.ts';
import { type BackendUnderTest, findProcesses, killWrapper } from './backend-harness.ts';

const TRIAL = ['--ro-bind', '/', '/', '--unshare-pid', '--proc', '/proc', '--dev', '/dev', 'true'];
export const NEEDS_BUBBLEWRAP =
  spawnSync('bwrap', TRIAL).status === 0 ? '' : ' (needs bubblewrap: GOLDFISH_SETUP=1 npm test)';

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
