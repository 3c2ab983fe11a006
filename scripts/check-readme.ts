/**
 * Runs every fenced command of the README, in its order, in a fresh clone of this repository's last commit, and
 * compares what it prints. `node scripts/check-readme.ts [TEXT]` runs only up to the first command with TEXT in it.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firstDifference, readCommands } from './readme-commands.ts';

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

const base = mkdtempSync(join(tmpdir(), 'goldfish-readme-'));
const clone = join(base, 'goldfish');
const environment = strangersEnvironment();
/** Where the next command runs: a `cd` stays, as in a terminal. */
let folder = clone;
let failed = 0;
try {
  const cloned = spawnSync('git', ['clone', '--quiet', '--no-hardlinks', ROOT, clone], { stdio: 'inherit' });
  if (cloned.status !== 0) throw new Error('the repository could not be cloned');
  const commands = readCommands(readFileSync(join(clone, 'README.md'), 'utf8'));
  const last =
    process.argv[2] === undefined
      ? -1
      : commands.findIndex(({ command }) => command.includes(process.argv[2] ?? ''));
  for (const { line, command, expected } of last === -1 ? commands : commands.slice(0, last + 1)) {
    const ran = spawnSync('bash', ['-c', `${command}\ncode=$?; pwd -P >&3; exit $code`], {
      cwd: folder,
      env: environment,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
    folder = ran.output[3]?.trim() || folder;
    const difference =
      ran.status === 0 ? firstDifference(expected, ran.stdout.split('\n')) : `exit ${ran.status}`;
    console.log(`${difference === undefined ? 'ok    ' : 'FAILED'} README.md:${line}: ${command}`);
    if (difference === undefined) continue;
    failed += 1;
    console.log(`       ${difference}\n${ran.stdout}\n${ran.stderr}`);
  }
  console.log(`${commands.length - failed} commands as they stand, ${failed} not`);
} finally {
  rmSync(base, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);
