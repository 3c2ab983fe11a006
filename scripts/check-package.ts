/**
 * Builds the package, installs the tarball in an empty folder as a stranger would, and runs its command there:
 * `.ts` imports left in dist/, a forgotten migration, a development dependency used at run time all show here only.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

/** At least one file below each of these must be in the tarball. */
const SHIPPED = [
  'bin/goldfish.js',
  'dist/cli/main.js',
  'dist/supervisor/main.js',
  'dist/store/migrations/',
  'runtime/',
  'sdk/python/goldfish/',
  'sdk/node/index.d.ts',
  'sdk/node/lib/',
  'templates/',
  'examples/',
  'schema.sql',
  'goldfish.example.yaml',
  'LICENSE',
  'README.md',
  'CHANGELOG.md',
];
const NEVER_SHIPPED =
  /^(src|test|scripts|workspaces)\/|(^|\/)(node_modules|__pycache__|\.goldfish)\/|tsconfig|\.(pyc|(?<!\.d\.)ts|env)$/;

function run(command: string, args: string[], cwd: string): string {
  const result = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    // This Node first, also for whatever the command starts.
    env: { ...process.env, PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter) },
  });
  if (result.status === 0) return result.stdout;
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`;
  throw new Error(`${[command, ...args].join(' ')} ended with ${result.status}:\n${said}`);
}

type Packed = { filename: string; size: number; files: { path: string; mode: number }[] };

function pack(folder: string): Packed {
  run(process.execPath, ['scripts/build.ts'], ROOT);
  const output = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], ROOT);
  const [packed] = JSON.parse(output) as Packed[];
  if (packed === undefined) throw new Error('npm pack named no tarball');
  return packed;
}

function checkFiles({ files }: Packed): void {
  const paths = files.map((file) => file.path);
  const missing = SHIPPED.filter(
    (wanted) => !paths.some((path) => path === wanted || path.startsWith(wanted)),
  );
  const stray = paths.filter((path) => NEVER_SHIPPED.test(path));
  if (missing.length > 0) throw new Error(`not in the tarball: ${missing.join(', ')}`);
  if (stray.length > 0) throw new Error(`should not be in the tarball: ${stray.join(', ')}`);
}

async function install(tarball: string, folder: string): Promise<string> {
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), '{"private": true}\n');
  run('npm', ['install', '--omit=dev', '--no-audit', '--no-fund', tarball], folder);
  return join(folder, 'node_modules', '.bin', 'goldfish');
}

async function use(goldfish: string, project: string): Promise<void> {
  const call = (...args: string[]): string => run(process.execPath, [goldfish, ...args], project);
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  await mkdir(project);
  const said = call('--version').trim();
  if (said !== version) throw new Error(`goldfish --version says ${said}, the package ${version}`);
  call('init', 'packed');
  // A run end to end: the template, the supervisor, the wrapper and the stage library all come from the tarball.
  call(
    'call',
    'create_workspace',
    JSON.stringify({ name: 'smoke', goal: 'prove the package', reason: REASON }),
  );
  call('call', 'run', JSON.stringify({ workspace: 'smoke', reason: REASON, wait_seconds: 45 }));
  const { runs } = JSON.parse(call('call', 'list_runs', '{"workspace": "smoke"}', '--json')) as {
    runs: { stage: string; state: string }[];
  };
  const open = runs.filter((row) => row.state !== 'completed');
  if (runs.length === 0 || open.length > 0) throw new Error(`runs of the template: ${JSON.stringify(runs)}`);
  await useFromNode(call, project);
}

/** The stage library for Node, where the package puts it. */
async function useFromNode(call: (...args: string[]) => string, project: string): Promise<void> {
  call('call', 'mount', JSON.stringify({ workspace: 'smoke', slot: 'w1', reason: REASON }));
  const stage = join(project, 'workspaces', 'w1');
  await writeFile(
    join(stage, 'stage.mjs'),
    "import { saveOutput } from 'goldfish';\nsaveOutput('out', 1);\n",
  );
  await writeFile(
    join(stage, 'pipeline.yaml'),
    'name: node\nstages:\n  - name: only\n    command: [node, stage.mjs]\n    outputs: { out: json }\n',
  );
  await rm(join(stage, 'configs'), { recursive: true });
  call('call', 'run', JSON.stringify({ workspace: 'smoke', reason: REASON, wait_seconds: 45 }));
  const listed = call('call', 'list_runs', '{"workspace": "smoke", "stage": "only"}', '--json');
  const { runs } = JSON.parse(listed) as { runs: { state: string }[] };
  if (runs.length !== 1 || runs[0]?.state !== 'completed') throw new Error(`a Node stage: ${listed}`);
}

const REASON = 'check that the packed tarball works';

const folder = await mkdtemp(join(tmpdir(), 'goldfish-package-'));
try {
  const packed = pack(folder);
  checkFiles(packed);
  const goldfish = await install(join(folder, packed.filename), join(folder, 'installed'));
  await use(goldfish, join(folder, 'project'));
  console.log(`${packed.filename}: ${packed.files.length} files, ${packed.size} bytes; installed and used.`);
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}
