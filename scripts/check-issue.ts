/**
 * `npm run check:issue -- N`: each line of what issue N delivers, and of when it is done, with its tests and their
 * result. test/issues/N.yaml says which tests stand for which line. Fails on a line without tests, on a test that is
 * named and not there, that failed, or that did not run. `--reports DIR` reads vitest's reports of an earlier run
 * instead of running the tests again; commands are always run.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { judgeLines, parseIssue, type TestResult, testsOf } from './issue-lines.ts';
import type { VitestReport } from './test-report.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const COMMAND_LIMIT_MS = 20 * 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { reports: { type: 'string' } },
});
const number = positionals[0] ?? '';
if (!/^\d+$/.test(number)) {
  console.error('Which issue? npm run check:issue -- 1');
  process.exit(2);
}
const issue = parseIssue(parse(readFileSync(join(ROOT, 'test', 'issues', `${number}.yaml`), 'utf8')));

const results = values.reports === undefined ? runTests() : readReports(values.reports);
const commands = new Map(
  [...new Set(issue.lines.flatMap((line) => line.commands))].map((command) => [command, succeeds(command)]),
);
const judged = judgeLines(issue, results, commands);
console.log(`Issue ${number}: ${issue.title}`);
let part = '';
for (const line of judged) {
  if (line.part !== part) console.log(`\n${line.part}`);
  part = line.part;
  console.log(`${line.ok ? 'ok    ' : 'FAILED'} ${line.text}`);
  for (const item of line.items) console.log(`         ${item}`);
}
const failed = judged.filter((line) => !line.ok).length;
console.log(`\n${judged.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Runs every file that a line names, once. */
function runTests(): TestResult[] {
  const files = [...new Set(issue.lines.flatMap((line) => line.tests.map((test) => test.file)))];
  if (files.length === 0) return [];
  const folder = mkdtempSync(join(tmpdir(), 'goldfish-issue-'));
  try {
    const report = join(folder, 'report.json');
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    spawnSync(
      process.execPath,
      [vitest, 'run', '--reporter=json', `--outputFile.json=${report}`, '--allowOnly=false', ...files],
      { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, CI: 'true' } },
    );
    return testsOf(readReport(report), ROOT);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReports(folder: string): TestResult[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return names.flatMap((name) => testsOf(readReport(join(folder, name)), ROOT));
}

function readReport(file: string): VitestReport {
  return JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
}

/** Words separated by spaces, without a shell. */
function succeeds(command: string): boolean {
  const [program = '', ...words] = command.split(' ');
  const ran = spawnSync(program, words, { cwd: ROOT, stdio: 'ignore', timeout: COMMAND_LIMIT_MS });
  return ran.status === 0;
}
