/**
 * `npm run test:faults`: breaks things and checks the promises. The short form is bounded to minutes and runs with every
 * change. `-- --long` runs hundreds of runs per fault, one part (a file of tests) after the other, and writes
 * docs/reliability.md with commit, seed and every outcome; it fails on any promise below 100 %. `-- --long --continue`
 * leaves out the parts that have passed on this commit with this seed; `-- --long storm` runs the parts of that name.
 * The seed is that of the commit; `-- --seed N` repeats the faults of an earlier run. Other words of the short form are
 * vitest's.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Outcome } from '../test/faults/kit/promises.ts';
import {
  addRecord,
  chooseParts,
  forgetRecords,
  listParts,
  type PartRecord,
  partPassed,
  readRecords,
  testFile,
} from './fault-parts.ts';
import { seedOfCommit } from './fault-seed.ts';
import { pathWithPython } from './python-path.ts';
import { reliabilityPage } from './reliability-page.ts';
import { skippedTests, type VitestReport } from './test-report.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
const PAGE = join(ROOT, 'docs', 'reliability.md');

const { values, positionals: words } = parseArgs({
  options: {
    long: { type: 'boolean', default: false },
    continue: { type: 'boolean', default: false },
    seed: { type: 'string' },
  },
  allowPositionals: true,
});
const seed = Number(values.seed ?? seedOfCommit(await git('rev-parse', 'HEAD').catch(() => undefined)));
if (!Number.isSafeInteger(seed) || seed < 0)
  refuse(`--seed takes a whole number from 0, not "${values.seed}".`);
if (values.continue && !values.long) refuse('--continue goes on with a long form: add --long.');

console.log(`seed ${seed}${values.long ? ', long form' : ''}`);
process.exitCode = (await (values.long ? longForm() : shortForm())) ? 0 : 1;

function refuse(why: string): never {
  console.error(why);
  process.exit(2);
}

/** All at once: most of it is waiting. GOLDFISH_TEST_REPORTS keeps vitest's report, for check:issue. */
async function shortForm(): Promise<boolean> {
  const kept = process.env['GOLDFISH_TEST_REPORTS'];
  const json =
    kept === undefined ? [] : ['--reporter=json', `--outputFile.json=${join(kept, 'faults.json')}`];
  const { code, outcomes } = await runTests(['--maxWorkers=2', ...json, ...words]);
  return code === 0 && nameBroken(outcomes) === 0 && outcomes.length > 0;
}

/** One part after the other, each with the machine to itself. */
async function longForm(): Promise<boolean> {
  const commit = await git('rev-parse', '--short=12', 'HEAD');
  // The page that it writes is no change of what it tries.
  const changes = await git('status', '--porcelain', '--', '.', ':!docs');
  if (changes !== '') refuse(`The long form tells of a commit. First commit, or stash:\n${changes}`);
  const file = join(ROOT, '.faults', `${commit}-${seed}.jsonl`);
  const parts = listParts(ROOT);
  if (!values.continue && words.length === 0) forgetRecords(file);
  const chosen = chooseParts(parts, readRecords(file, parts), { words, goOn: values.continue });
  const isUnknown = chosen.length === 0 && words.length > 0 && !values.continue;
  if (isUnknown) refuse(`No part has such a name. There are:\n${parts.join('\n')}`);
  for (const [at, part] of chosen.entries()) {
    console.log(`\npart ${at + 1} of ${chosen.length}: ${part}`);
    addRecord(file, await runPart(part));
  }
  const records = readRecords(file, parts);
  await conclude(records, { parts, commit });
  return records.length === parts.length && records.every((record) => record.passed);
}

async function runPart(part: string): Promise<PartRecord> {
  const started = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'goldfish-faults-'));
  try {
    const json = join(folder, 'report.json');
    const reporters = ['--reporter=json', `--outputFile.json=${json}`];
    const { code, outcomes } = await runTests(['--maxWorkers=1', ...reporters, testFile(part)], {
      GOLDFISH_FAULTS_LONG: '1',
    });
    const report = JSON.parse(await readFile(json, 'utf8').catch(() => '{"testResults":[]}')) as VitestReport;
    const skipped = skippedTests(report);
    const seconds = Math.round((performance.now() - started) / 1000);
    return { part, passed: partPassed({ code, outcomes, skipped }), seconds, outcomes, skipped };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A part of the suite tells nothing of the whole: the page is written when every part was run. */
async function conclude(records: PartRecord[], of: { parts: string[]; commit: string }): Promise<void> {
  console.log('');
  for (const { part, passed, seconds } of records)
    console.log(`${passed ? 'passed' : 'FAILED'} ${String(seconds).padStart(5)} s  ${part}`);
  const missing = of.parts.filter((part) => !records.some((record) => record.part === part));
  for (const part of missing) console.log(`not run         ${part}`);
  nameBroken(records.flatMap(({ outcomes }) => outcomes));
  if (missing.length > 0) return console.log('To go on: npm run test:faults -- --long --continue');
  const machine = `Linux ${release()}, ${cpus().length} processors, Node ${process.versions.node}`;
  await writeFile(PAGE, reliabilityPage({ records, seed, commit: of.commit, machine }));
  console.log('wrote docs/reliability.md');
}

function nameBroken(outcomes: readonly Outcome[]): number {
  const broken = outcomes.filter((outcome) => outcome.held < outcome.trials);
  for (const { fault, promise, held, trials } of broken)
    console.log(`BROKEN ${promise}: ${fault}: ${held} of ${trials}`);
  return broken.length;
}

type Ran = { code: number; outcomes: Outcome[] };

async function runTests(options: string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const folder = await mkdtemp(join(tmpdir(), 'goldfish-faults-'));
  try {
    const report = join(folder, 'outcomes.jsonl');
    const fixed = ['run', '--project', 'faults', '--reporter=verbose', '--allowOnly=false'];
    const code = await start(process.execPath, [VITEST, ...fixed, ...options], {
      ...process.env,
      PATH: pathWithPython(),
      CI: 'true',
      NO_COLOR: '1',
      GOLDFISH_FAULT_REPORT: report,
      GOLDFISH_FAULTS_SEED: `${seed}`,
      ...env,
    });
    return { code, outcomes: await readOutcomes(report) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readOutcomes(file: string): Promise<Outcome[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Outcome]));
}

function start(program: string, args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], env });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

function git(...args: string[]): Promise<string> {
  const child = spawn('git', args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(Buffer.concat(chunks).toString('utf8').trim()));
  });
}
