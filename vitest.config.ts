import { defineConfig } from 'vitest/config';

/**
 * Two tiers. `unit` is pure or in-process (real SQLite, real git on small trees) and takes seconds;
 * `integration` starts processes: the run wrapper, the supervisor, a server over stdio.
 */
export default defineConfig({
  test: {
    retry: 0,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/e2e/**', 'test/faults/**'],
          testTimeout: 10_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
        },
      },
    ],
  },
});
