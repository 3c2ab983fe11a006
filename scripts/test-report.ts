/** What a suite's report says: pure, so that the runner that must not lie is itself tested. */

/** The part of vitest's JSON report that is read. */
export type VitestReport = { testResults: FileReport[] };
type FileReport = { name: string; status: string; message: string; assertionResults: TestReport[] };
type TestReport = { fullName: string; status: string };

export type Skip = { needs: string; command: string; count: number };
export type SuiteCount = {
  passed: number;
  failed: number;
  skipped: number;
  skips: Skip[];
  /** What failed without a message of its own in the suite's output. */
  complaints: string[];
};

/** `… (needs bubblewrap: apt-get install bubblewrap)`: the only accepted reason for a skip. */
const CAPABILITY = /\(needs ([^:()]+): ([^()]+)\)/;

/**
 * Counts one suite. A skip without a named capability is a failure: that is how vitest reports the tests behind a
 * broken hook, and how a forgotten `skip` looks. So are a file that failed outside its tests, a suite that ended
 * with an error though all its tests passed, and a suite without tests.
 */
export function countSuite(report: VitestReport | undefined, exitCode: number | null): SuiteCount {
  const count: SuiteCount = { passed: 0, failed: 0, skipped: 0, skips: [], complaints: [] };
  for (const file of report?.testResults ?? []) countFile(file, count);
  const complain = (text: string): void => {
    count.failed += 1;
    count.complaints.push(text);
  };
  if (report === undefined) complain(`the suite left no report (exit code ${exitCode ?? 'none'})`);
  else if (count.passed + count.failed + count.skipped === 0) complain('the suite has no tests');
  else if (exitCode !== 0 && count.failed === 0)
    complain(`the suite ended with exit code ${exitCode ?? 'none'}`);
  return count;
}

function countFile(file: FileReport, count: SuiteCount): void {
  const failedBefore = count.failed;
  for (const test of file.assertionResults) {
    if (test.status === 'passed') count.passed += 1;
    else if (test.status === 'failed') count.failed += 1;
    else countSkip(test, count);
  }
  if (file.status !== 'failed' || count.failed > failedBefore) return;
  count.failed += 1;
  count.complaints.push(`${file.name}: ${file.message || 'failed outside its tests'}`);
}

function countSkip(test: TestReport, count: SuiteCount): void {
  const [, needs, command] = CAPABILITY.exec(test.fullName) ?? [];
  if (needs === undefined || command === undefined) {
    count.failed += 1;
    count.complaints.push(`"${test.fullName}" did not run and names nothing that it needs`);
    return;
  }
  count.skipped += 1;
  const known = count.skips.find((skip) => skip.needs === needs && skip.command === command);
  if (known) known.count += 1;
  else count.skips.push({ needs, command, count: 1 });
}

/** What the setup cannot bring: who wants it fetches it. */
const BY_HAND = /^by hand\b/;

/** For a machine on which the setup has put everything that it can: what did not run there for want of it failed. */
export function countSkipsAsFailed(count: SuiteCount): SuiteCount {
  const byHand = count.skips.filter(({ command }) => BY_HAND.test(command));
  const skipped = byHand.reduce((total, skip) => total + skip.count, 0);
  return { ...count, failed: count.failed + count.skipped - skipped, skipped };
}

/** `3 passed, 0 failed` and, where there are any, `, 2 skipped`. Scripts read this line. */
export function summaryLine(counts: readonly { passed: number; failed: number; skipped: number }[]): string {
  const sum = (key: 'passed' | 'failed' | 'skipped'): number =>
    counts.reduce((total, count) => total + count[key], 0);
  const skipped = sum('skipped');
  return `${sum('passed')} passed, ${sum('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** What could not run, once per capability over all suites. */
export function mergeSkips(counts: readonly SuiteCount[]): Skip[] {
  const merged: Skip[] = [];
  for (const skip of counts.flatMap((count) => count.skips)) {
    const known = merged.find((other) => other.needs === skip.needs && other.command === skip.command);
    if (known) known.count += skip.count;
    else merged.push({ ...skip });
  }
  return merged;
}

/** Full titles of the tests that did not run. */
export function skippedTests(report: VitestReport): string[] {
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  return tests
    .filter(({ status }) => status !== 'passed' && status !== 'failed')
    .map((test) => test.fullName);
}
