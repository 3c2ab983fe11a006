/**
 * `npm test`: every suite of vitest.config.ts, one line each with its time; the whole output of a suite only when it
 * failed; then what could not run here, why, and the command that would enable it. `npm test -- unit` runs one suite.
 * `GOLDFISH_SETUP=1 npm test` first puts on the machine whatever is missing (scripts/setup.ts); then a skip is a failure.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import config from '../vitest.config.ts';
import { pathWithPython } from './python-path.ts';
import {
  countSkipsAsFailed,
  countSuite,
  mergeSkips,
  type SuiteCount,
  summaryLine,
  type VitestReport,
} from './test-report.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
/** Where the code that hundreds of processes load is kept compiled: each then starts in half the time. */
const COMPILED = join(ROOT, 'node_modules', '.cache', 'goldfish-compiled');
const PYTHON_PATH = pathWithPython();
/** Suites that have a command of their own: `npm run test:<name>`; the live one is `npm run test:gce-live`. */
const APART = ['faults', 'conformance', 'live'];
/** A suite that takes longer hangs. */
const SUITE_LIMIT_MS = 35 * 60_000;

function suites(): string[] {
  const names: string[] = [];
  for (const project of config.test?.projects ?? []) {
    if (typeof project !== 'object' || !('test' in project)) continue;
    const name = project.test?.name;
    if (typeof name === 'string' && !APART.includes(name)) names.push(name);
  }
  return names;
}

type Ended = { code: number | null; output: string };

function runVitest(suite: string, reportFile: string): Promise<Ended> {
  const options = ['--project', suite, '--reporter=default', '--reporter=json'];
  const child = spawn(
    process.execPath,
    [VITEST, 'run', ...options, `--outputFile.json=${reportFile}`, '--allowOnly=false'],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: SUITE_LIMIT_MS,
      // CI: a missing snapshot is a failure, never written on the way.
      env: { ...process.env, PATH: PYTHON_PATH, CI: 'true', NO_COLOR: '1', NODE_COMPILE_CACHE: COMPILED },
    },
  );
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output: Buffer.concat(chunks).toString('utf8') }));
  });
}

async function readReport(file: string): Promise<VitestReport | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as VitestReport;
  } catch {
    return undefined;
  }
}

async function runSuite(suite: string, folder: string): Promise<SuiteCount> {
  const started = performance.now();
  const reportFile = join(folder, `${suite}.json`);
  const ended = await runVitest(suite, reportFile);
  const count = countSuite(await readReport(reportFile), ended.code);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (count.failed > 0) console.log(ended.output.trimEnd());
  for (const complaint of count.complaints) console.log(`  ${complaint}`);
  console.log(`${suite.padEnd(14)} ${seconds.padStart(6)} s   ${summaryLine([count])}`);
  return count;
}

const known = suites();
const chosen = process.argv.length > 2 ? process.argv.slice(2) : known;
const unknown = chosen.find((suite) => !known.includes(suite));
if (unknown !== undefined) {
  console.error(`There is no suite "${unknown}"; there are ${known.join(', ')}.`);
  process.exit(2);
}

const complete = process.env['GOLDFISH_SETUP'] === '1';
if (complete) {
  const { setUp } = await import('./setup/set-up.ts');
  await setUp(console.log);
}

// GOLDFISH_TEST_REPORTS keeps vitest's reports, for check:issue.
const kept = process.env['GOLDFISH_TEST_REPORTS'];
if (kept !== undefined) await mkdir(kept, { recursive: true });
const folder = kept ?? (await mkdtemp(join(tmpdir(), 'goldfish-test-')));
const counts: SuiteCount[] = [];
try {
  for (const suite of chosen) counts.push(await runSuite(suite, folder));
} finally {
  if (kept === undefined) await rm(folder, { recursive: true, force: true });
}
const skips = mergeSkips(counts);
for (const skip of skips) {
  console.log(`Not run: ${skip.count} test(s) need ${skip.needs}. To enable them: ${skip.command}`);
}
const totals = complete ? counts.map(countSkipsAsFailed) : counts;
console.log(summaryLine(totals));
process.exitCode = totals.some((count) => count.failed > 0) ? 1 : 0;
