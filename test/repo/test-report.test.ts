import { expect, it } from 'vitest';
import {
  countSkipsAsFailed,
  countSuite,
  mergeSkips,
  summaryLine,
  type VitestReport,
} from '../../scripts/test-report.ts';
import config from '../../vitest.config.ts';

function report(
  tests: { title: string; status: string }[],
  file: { status?: string; message?: string } = {},
): VitestReport {
  const assertionResults = tests.map(({ title, status }) => ({ fullName: title, status }));
  return {
    testResults: [{ name: 'a.test.ts', status: 'passed', message: '', ...file, assertionResults }],
  };
}

it('counts what passed, what failed and what lacks a capability', () => {
  const tests = [
    { title: 'adds', status: 'passed' },
    { title: 'subtracts', status: 'failed' },
    { title: 'isolates (needs bubblewrap: GOLDFISH_SETUP=1 npm test)', status: 'skipped' },
    { title: 'hides (needs bubblewrap: GOLDFISH_SETUP=1 npm test)', status: 'skipped' },
  ];
  expect(countSuite(report(tests), 1)).toEqual({
    passed: 1,
    failed: 1,
    skipped: 2,
    skips: [{ needs: 'bubblewrap', command: 'GOLDFISH_SETUP=1 npm test', count: 2 }],
    complaints: [],
  });
});

it.each(['skipped', 'pending', 'todo'])(
  'counts a test that is %s without a named capability as failed',
  (status) => {
    const count = countSuite(report([{ title: 'forgotten', status }]), 0);
    expect(count).toMatchObject({ passed: 0, failed: 1, skipped: 0 });
    expect(count.complaints).toEqual(['"forgotten" did not run and names nothing that it needs']);
  },
);

it('counts a file that cannot be loaded as failed', () => {
  const count = countSuite(report([], { status: 'failed', message: 'Cannot find package' }), 1);
  expect(count).toMatchObject({ failed: 1, complaints: ['a.test.ts: Cannot find package'] });
});

it('counts a suite as failed that left no report', () => {
  expect(countSuite(undefined, null)).toMatchObject({
    failed: 1,
    complaints: ['the suite left no report (exit code none)'],
  });
});

it('counts a suite as failed that has no tests', () => {
  expect(countSuite({ testResults: [] }, 0)).toMatchObject({
    failed: 1,
    complaints: ['the suite has no tests'],
  });
});

it('counts a suite as failed that ends with an error though all its tests passed', () => {
  const count = countSuite(report([{ title: 'adds', status: 'passed' }]), 1);
  expect(count).toMatchObject({ passed: 1, failed: 1, complaints: ['the suite ended with exit code 1'] });
});

it('does not count the same failure twice', () => {
  const count = countSuite(report([{ title: 'adds', status: 'failed' }], { status: 'failed' }), 1);
  expect(count).toMatchObject({ failed: 1, complaints: [] });
});

it('closes with one line over all suites, naming skips only where there are any', () => {
  const none = { passed: 2, failed: 0, skipped: 0 };
  expect(summaryLine([none, none])).toBe('4 passed, 0 failed');
  expect(summaryLine([none, { passed: 1, failed: 1, skipped: 3 }])).toBe('3 passed, 1 failed, 3 skipped');
});

it('names what is missing once, over all suites', () => {
  const title = 'isolates (needs bubblewrap: GOLDFISH_SETUP=1 npm test)';
  const count = countSuite(report([{ title, status: 'skipped' }]), 0);
  expect(mergeSkips([count, count])).toEqual([
    { needs: 'bubblewrap', command: 'GOLDFISH_SETUP=1 npm test', count: 2 },
  ]);
});

it('counts every skip as failed on a machine that was set up', () => {
  const title = 'isolates (needs bubblewrap: GOLDFISH_SETUP=1 npm test)';
  const count = countSkipsAsFailed(countSuite(report([{ title, status: 'skipped' }]), 0));
  expect(count).toMatchObject({ passed: 0, failed: 1, skipped: 0 });
});

it('does not blame a machine that was set up for what nobody can set up', () => {
  const tests = [
    { title: 'agrees (needs gcloud: by hand, as https://example.com says)', status: 'skipped' },
    { title: 'isolates (needs bubblewrap: GOLDFISH_SETUP=1 npm test)', status: 'skipped' },
  ];
  expect(countSkipsAsFailed(countSuite(report(tests), 0))).toMatchObject({ failed: 1, skipped: 1 });
});

it('never retries a test', () => {
  expect(config.test?.retry).toBe(0);
});
