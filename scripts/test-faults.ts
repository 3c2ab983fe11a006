/**
 * `npm run test:faults`: breaks things and checks the promises. The short form is bounded to minutes and runs with every
 * change. `-- --long` runs hundreds of runs per fault and writes docs/reliability.md with commit, seed and every outcome;
 * it fails on any promise below 100 %. `-- --seed N` repeats the faults of an earlier run; other words are vitest's.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Outcome } from '../test/faults/kit/promises.ts';
import { pathWithPython } from './python-path.ts';
import { reliabilityPage } from './reliability-page.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
const PAGE = join(ROOT, 'docs', 'reliability.md');
const DEFAULT_SEED = 20_261_126;

function start(program: string, words: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(program, words, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], env });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

function git(...words: string[]): Promise<string> {
  const child = spawn('git', words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(Buffer.concat(chunks).toString('utf8').trim()));
  });
}

async function readOutcomes(file: string): Promise<Outcome[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Outcome]));
}

const { values, positionals } = parseArgs({
  options: { long: { type: 'boolean', default: false }, seed: { type: 'string' } },
  allowPositionals: true,
});
const seed = Number(values.seed ?? DEFAULT_SEED);
if (!Number.isSafeInteger(seed) || seed < 0) {
  console.error(`--seed takes a whole number from 0, not "${values.seed}".`);
  process.exit(2);
}
const folder = await mkdtemp(join(tmpdir(), 'goldfish-faults-'));
const report = join(folder, 'outcomes.jsonl');
// GOLDFISH_TEST_REPORTS keeps vitest's report, for check:issue.
const kept = process.env['GOLDFISH_TEST_REPORTS'];
const json = kept === undefined ? [] : ['--reporter=json', `--outputFile.json=${join(kept, 'faults.json')}`];
const reporters = ['--reporter=verbose', ...json];
// Most of it is waiting. In the long form a fault has the machine to itself.
const workers = `--maxWorkers=${values.long ? 1 : 2}`;
const started = performance.now();
console.log(`seed ${seed}${values.long ? ', long form' : ''}`);
const code = await start(
  process.execPath,
  [VITEST, 'run', '--project', 'faults', workers, ...reporters, '--allowOnly=false', ...positionals],
  {
    ...process.env,
    PATH: pathWithPython(),
    CI: 'true',
    NO_COLOR: '1',
    GOLDFISH_FAULT_REPORT: report,
    GOLDFISH_FAULTS_SEED: `${seed}`,
    ...(values.long ? { GOLDFISH_FAULTS_LONG: '1' } : {}),
  },
);
const outcomes = await readOutcomes(report);
await rm(folder, { recursive: true, force: true });
const broken = outcomes.filter((outcome) => outcome.held < outcome.trials);
for (const { fault, promise, held, trials } of broken) {
  console.log(`BROKEN ${promise}: ${fault}: ${held} of ${trials}`);
}
// A part of the suite tells nothing of the whole.
if (values.long && positionals.length === 0) {
  await writeFile(
    PAGE,
    reliabilityPage({
      outcomes,
      seed,
      commit: await git('rev-parse', '--short=12', 'HEAD'),
      changed: (await git('status', '--porcelain')) !== '',
      seconds: Math.round((performance.now() - started) / 1000),
      machine: `Linux ${release()}, ${cpus().length} processors, Node ${process.versions.node}`,
      passed: code === 0,
    }),
  );
  console.log('wrote docs/reliability.md');
}
process.exitCode = code === 0 && broken.length === 0 && outcomes.length > 0 ? 0 : 1;
