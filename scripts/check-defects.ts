/**
 * `npm run check:defects [-- ROOM[/NAME] …]`: plants each defect of test/patches/<room>/ in a copy of the repository and
 * runs the test that its first line names (`# breaks: <words of the title>`). That test must fail; one that stays
 * green over a defect does not hold what it promises. A room is an adapter, which has one file of tests, or has patches that
 * each name theirs (`# suite: test/…`). Without names all are checked; `room/05` is those whose names begin so.
 */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const PATCHES = join(ROOT, 'test', 'patches');
/** One test; longer means it hangs, which is no failure of it. */
const TEST_LIMIT_MS = 5 * 60_000;

/** The file of tests that holds an adapter to its contract. Patches of other rooms name their own. */
const SUITES: Record<string, string> = {
  'local-storage': 'test/contracts/object-storage-local.test.ts',
  'gcs-storage': 'test/contracts/object-storage-gcs.test.ts',
  process: 'test/contracts/run-backend-process.test.ts',
  docker: 'test/contracts/run-backend-docker.test.ts',
  'docker-images': 'test/contracts/image-builder-docker.test.ts',
};

type Defect = { room: string; name: string; file: string; breaks: string; suite: string };

async function defectsOf(chosen: string): Promise<Defect[]> {
  const [room = '', beginning = ''] = chosen.split('/');
  const folder = join(PATCHES, room);
  const names = (await readdir(folder))
    .filter((name) => name.endsWith('.patch') && name.startsWith(beginning))
    .sort();
  return Promise.all(
    names.map(async (name) => {
      const file = join(folder, name);
      const text = await readFile(file, 'utf8');
      const breaks = /^# breaks: (.+)$/m.exec(text)?.[1]?.trim();
      const suite = /^# suite: (.+)$/m.exec(text)?.[1]?.trim() ?? SUITES[room];
      if (breaks === undefined) throw new Error(`${room}/${name} does not say which behaviour it breaks`);
      if (suite === undefined) throw new Error(`${room}/${name} does not say which tests see it`);
      return { room, name, file, breaks, suite };
    }),
  );
}

/** What is committed or would be, without what is ignored; dependencies are the repository's own. */
async function copyRepository(target: string): Promise<void> {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  for (const path of listed.stdout.split('\0')) {
    if (path === '') continue;
    await mkdir(dirname(join(target, path)), { recursive: true });
    // A file that is removed and not yet committed is still listed.
    await cp(join(ROOT, path), join(target, path), { verbatimSymlinks: true }).catch(ignoreMissing);
  }
  await symlink(join(ROOT, 'node_modules'), join(target, 'node_modules'));
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

function applyPatch(copy: string, file: string, options: readonly string[] = []): string | undefined {
  const applied = spawnSync('git', ['apply', ...options, file], {
    cwd: copy,
    encoding: 'utf8',
    // The copy is no repository, and must not be taken for a part of one above it.
    env: { ...process.env, GIT_CEILING_DIRECTORIES: dirname(copy) },
  });
  return applied.status === 0 ? undefined : applied.stderr.trim();
}

type Seen = 'red' | 'green' | 'not run';

/** Whether the named test failed in the copy. */
async function runTest(copy: string, defect: Defect): Promise<Seen> {
  const report = join(copy, 'defect-report.json');
  // Between the titles of suites and tests -t knows " > ", and the report a blank.
  const title = defect.breaks.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(' ', '(?: | > )');
  // test/contracts/…: the folder of a suite is its project; those of the unit suite are named by room.
  const folder = defect.suite.split('/')[1] ?? '';
  const project = ['integration', 'contracts', 'faults'].includes(folder) ? folder : 'unit';
  const vitest = join('node_modules', 'vitest', 'vitest.mjs');
  const options = ['--project', project, '-t', title, '--reporter=json', `--outputFile.json=${report}`];
  await rm(report, { force: true });
  spawnSync(process.execPath, [vitest, 'run', defect.suite, ...options], {
    cwd: copy,
    stdio: 'ignore',
    timeout: TEST_LIMIT_MS,
    env: { ...process.env, CI: 'true', NO_COLOR: '1' },
  });
  const text = await readFile(report, 'utf8').catch(() => '{"testResults": []}');
  const { testResults } = JSON.parse(text) as {
    testResults: { assertionResults: { status: string; fullName: string }[] }[];
  };
  const tests = testResults.flatMap((file) => file.assertionResults);
  const named = tests.filter(({ fullName }) => fullName.includes(defect.breaks));
  if (named.some(({ status }) => status === 'failed')) return 'red';
  return named.some(({ status }) => status === 'passed') ? 'green' : 'not run';
}

const known = (await readdir(PATCHES)).sort();
const chosen = process.argv.length > 2 ? process.argv.slice(2) : known;
const unknown = chosen.find((words) => !known.includes(words.split('/')[0] ?? ''));
if (unknown !== undefined) {
  console.error(`There are no defects of "${unknown}"; there are those of ${known.join(', ')}.`);
  process.exit(2);
}

const copy = await mkdtemp(join(tmpdir(), 'goldfish-defects-'));
let unseen = 0;
let total = 0;
try {
  await copyRepository(copy);
  for (const words of chosen) {
    for (const defect of await defectsOf(words)) {
      total += 1;
      const refusal = applyPatch(copy, defect.file);
      const seen = refusal === undefined ? await runTest(copy, defect) : 'not run';
      if (refusal === undefined) applyPatch(copy, defect.file, ['--reverse']);
      if (seen !== 'red') unseen += 1;
      const told = seen === 'red' ? 'seen  ' : 'UNSEEN';
      console.log(`${told} ${defect.room}/${defect.name}: ${defect.breaks}`);
      if (seen === 'not run') console.log(`       ${refusal ?? 'no test of that title ran'}`);
    }
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
console.log(`${total - unseen} defects seen, ${unseen} not`);
process.exit(unseen === 0 ? 0 : 1);
