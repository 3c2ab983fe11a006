import { createPlainBackend, plainKey } from '../fixtures/plain-backend.ts';
import { findProcesses, killWrapper } from './backend-harness.ts';
import { describeRunBackend } from './run-backend.ts';

describeRunBackend('a backend from outside', {
  make: (options) => ({
    backend: createPlainBackend(options),
    environmentKey: (files) => plainKey(options, files),
  }),
  loseExecutor: killWrapper,
  remains: async (handle) => (await findProcesses(handle.runId)).map(String),
  recorded: async () => '',
});
