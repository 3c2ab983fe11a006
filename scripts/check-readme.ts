/**
 * Runs every fenced command of the README and of docs/getting-started.md, each page in its order, in a fresh clone of
 * this repository's last commit, and compares what it prints. `--until TEXT` runs of each page only what stands up to
 * the first command with TEXT in it; `--without TEXT` leaves commands out that somebody else has run.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { firstDifference, type ReadmeCommand, readCommands } from './readme-commands.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const LIMIT_MS = 30 * 60_000;

/** As a stranger has it: no folder of this checkout's own tools on the PATH. */
function strangersEnvironment(): NodeJS.ProcessEnv {
  const path = (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((entry) => !entry.includes('node_modules'));
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|GOLDFISH_|NODE$|INIT_CWD$)/.test(name));
  return { ...Object.fromEntries(own), PATH: path.join(delimiter), NO_COLOR: '1', CI: 'true' };
}

const { values } = parseArgs({ options: { until: { type: 'string' }, without: { type: 'string' } } });
const PAGES = ['README.md', 'docs/getting-started.md'];

let commands = 0;
let failed = 0;
for (const page of PAGES) checkPage(page);
console.log(`${commands - failed} commands as they stand, ${failed} not`);
process.exit(failed === 0 ? 0 : 1);

/** Each page begins in a clone of its own, as its reader does. */
function checkPage(page: string): void {
  const base = mkdtempSync(join(tmpdir(), 'goldfish-readme-'));
  const clone = join(base, 'goldfish');
  try {
    const cloned = spawnSync('git', ['clone', '--quiet', '--no-hardlinks', ROOT, clone], {
      stdio: 'inherit',
    });
    if (cloned.status !== 0) throw new Error('the repository could not be cloned');
    const all = readCommands(readFileSync(join(clone, page), 'utf8'));
    const { until = '\0', without = '\0' } = values;
    const last = all.findIndex(({ command }) => command.includes(until));
    const chosen = (last === -1 ? all : all.slice(0, last + 1)).filter(
      ({ command }) => !command.includes(without),
    );
    // Where the next command runs: a `cd` stays, as in a terminal.
    let folder = clone;
    for (const step of chosen) folder = runStep(page, step, folder);
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

function runStep(page: string, { line, command, expected }: ReadmeCommand, folder: string): string {
  const ran = spawnSync('bash', ['-c', `${command}\ncode=$?; pwd -P >&3; exit $code`], {
    cwd: folder,
    env: strangersEnvironment(),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  const difference =
    ran.status === 0 ? firstDifference(expected, ran.stdout.split('\n')) : `exit ${ran.status}`;
  console.log(`${difference === undefined ? 'ok    ' : 'FAILED'} ${page}:${line}: ${command}`);
  commands += 1;
  if (difference !== undefined) {
    failed += 1;
    console.log(`       ${difference}\n${ran.stdout}\n${ran.stderr}`);
  }
  return ran.output[3]?.trim() || folder;
}
