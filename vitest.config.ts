import { defineConfig } from 'vitest/config';

/**
 * Three tiers are `npm test`. `unit` is pure or in-process (real SQLite, a little git) and takes seconds;
 * `integration` starts processes: git, stages, the run wrapper, the supervisor, a server over stdio; `contracts` holds every
 * adapter of a port to the same promises, against the real thing. Three more have commands of their own: `faults` breaks
 * things, `conformance` tries the server with other people's clients, `live` rents machines of Google.
 */
export default defineConfig({
  test: {
    retry: 0,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['integration', 'e2e', 'faults', 'contracts', 'conformance', 'live'].map(
            (name) => `test/${name}/**`,
          ),
          // Room for a machine that does other work at the same time; what has a limit of its own measures it.
          testTimeout: 30_000,
          maxWorkers: 2,
          // Nothing here keeps state in a module, so a worker loads the modules once for all of its files.
          isolate: false,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          // Breaks things; not part of `npm test`, see scripts/test-faults.ts.
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          // A storm of 500 containers on two busy processors takes longer than half an hour.
          testTimeout: 3_000_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          // Other people's clients; a suite of its own: npm run test:conformance.
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          // Costs money, and needs a project; see scripts/test-gce-live.ts.
          name: 'live',
          include: ['test/live/**/*.test.ts'],
          // One machine's network to a bucket far away, and a minute or two for each machine.
          testTimeout: 3_600_000,
          hookTimeout: 900_000,
          maxWorkers: 1,
        },
      },
      {
        test: {
          name: 'contracts',
          include: ['test/contracts/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
        },
      },
    ],
  },
});
