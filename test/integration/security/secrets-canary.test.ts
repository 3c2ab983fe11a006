import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { containersOf, docker, hasEngine, NEEDS_ENGINE } from '../../contracts/docker-under-test.ts';
import { until } from '../until.ts';
import { type AttackedProject, attackedProject, filesWith, REASON } from './attacked-project.ts';
import { wordsInImage } from './image-layers.ts';

const random = (): string => randomBytes(9).toString('hex');

/** In .env, and in the environment of whoever starts the server. */
function secretsOf(): { dotenv: Record<string, string>; environment: Record<string, string> } {
  return {
    dotenv: {
      PLAIN: `plain-${random()}`,
      QUOTED: `"qu/o+te\\d ${random()} &=äß~`,
      LINES: `first-${random()}\nsecond-${random()}\n`,
    },
    environment: { OUTER: `outer-${random()}`, ENGINE: `unix:///nowhere/engine-${random()}.sock` },
  };
}

/** What would give a secret away, found by other means than the product's own list. */
function wordsOf(values: readonly string[]): string[] {
  return values
    .flatMap((value) => value.split('\n').filter((line) => line !== ''))
    .flatMap((text) => {
      const within = Buffer.from(`user:${text}@host`).toString('base64');
      return [
        text,
        JSON.stringify(text).slice(1, -1),
        encodeURIComponent(text),
        Buffer.from(text).toString('base64').replace(/=+$/, ''),
        within.slice(8, -8),
        Buffer.from(text).toString('hex'),
        // The random part alone: a half that was left would show here.
        /[0-9a-f]{18}/.exec(text)?.[0] ?? text,
      ];
    });
}

/** Prints its secrets in every way a program does, once it is told to; then it ends as its name says. */
const STAGE = `
import base64, json, os, sys, time, urllib.parse
control, outputs = os.environ["GOLDFISH_CONTROL"], os.environ["GOLDFISH_OUTPUTS"]
values = [os.environ[name] for name in ("PLAIN", "QUOTED", "LINES", "OUTER")]
with open(os.path.join(control, "ready"), "w"): pass
while not os.path.exists(os.path.join(control, "go")): time.sleep(0.01)
def say(text):
    for stream in (sys.stdout, sys.stderr): print("it is", text, "so", file=stream, flush=True)
metrics = open(os.path.join(control, "metrics.jsonl"), "a")
def tell(**words): metrics.write(json.dumps(words) + "\\n"); metrics.flush()
for value in values:
    raw = value.encode()
    say(value)
    say(repr(value))
    say(json.dumps({"token": value, "raw": [value]}))
    say(json.dumps(value, ensure_ascii=False))
    say("https://host/?a=" + urllib.parse.quote(value, safe="") + "&b=" + urllib.parse.quote_plus(value))
    say(base64.b64encode(raw).decode())
    say(base64.urlsafe_b64encode(raw).decode())
    for before in ("user:", "u:", "us:"): say("Basic " + base64.b64encode((before + value + "@host").encode()).decode())
    say(raw.hex()); say(raw.hex().upper())
    for line in value.split("\\n"):
        half = len(line.encode()) // 2
        for number in (1, 2):
            os.write(number, line.encode()[:half]); os.write(number, line.encode()[half:] + b"\\n")
        for edge in (16384, 65536, 131072):
            for before in (1, half, half + 1):
                os.write(1, b"x" * (edge - before) + line.encode() + b"\\n")
        tell(name="loss " + line, value=1.0)
        tell(progress=0.5, message="at " + line + " now")
    tell(name=value, value="NaN")
with open(os.path.join(control, "heartbeat"), "w") as file: file.write(values[0])
with open(os.path.join(os.environ["TMPDIR"], "scratch"), "w") as file: file.write(values[0])
with open(os.path.join(outputs, "report.json"), "w") as file: file.write("{}")
if sys.argv[1] == "raises": raise RuntimeError("no access with " + values[0] + " and " + values[1])
os.makedirs(os.path.join(outputs, "tree"), exist_ok=True)
os.symlink("/etc/passwd", os.path.join(outputs, "tree", "named " + values[0]))
`;

const KINDS = [
  {
    name: 'a process',
    skip: false,
    backend: 'process',
    config: 'defaults: { backend: process }\nprocess: { sandbox: none }\n',
  },
  {
    name: `a container${NEEDS_ENGINE}`,
    skip: !hasEngine,
    backend: 'docker',
    config: 'defaults: { backend: docker }\n',
  },
];

type Run = { run_id: string; stage: string };

/** Keeps in its layers what a build is given: its environment, its arguments and the files of the version. */
const DOCKERFILE = `FROM ${TEST_IMAGE}
COPY . /version
RUN env > /environment && cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline > /processes || true
`;

async function start(project: AttackedProject, backend: string): Promise<Run[]> {
  await project.must('create_workspace', { name: 'baseline', goal: 'Print secrets', reason: REASON });
  await project.must('mount', { workspace: 'baseline', reason: REASON });
  for (const name of ['generate', 'summarize']) rmSync(project.slot('configs', `${name}.yaml`));
  const stages = ['raises', 'ends'].map((name) => ({
    name,
    command: ['python', '-m', 'modules.tell', name],
    outputs: { report: 'json', tree: 'directory' },
  }));
  project.write('workspaces/w1/pipeline.yaml', JSON.stringify({ name: 'secrets', stages }));
  project.write('workspaces/w1/modules/tell.py', STAGE);
  if (backend === 'docker') project.write('workspaces/w1/Dockerfile', DOCKERFILE);
  const names = ['PLAIN', 'QUOTED', 'LINES', 'OUTER'];
  const environment = Object.fromEntries(names.map((name) => [name, `\${env:${name}}`]));
  for (const { name } of stages)
    project.write(`workspaces/w1/configs/${name}.yaml`, JSON.stringify({ environment }));
  const answer = await project.must('run', { workspace: 'baseline', reason: REASON });
  return answer['runs'] as Run[];
}

/** Calls that fail, or do not, with a secret in their arguments by mistake. */
async function callWithSecrets(project: AttackedProject, values: readonly string[]): Promise<void> {
  for (const value of values) {
    const calls: [string, object][] = [
      ['create_workspace', { name: `${value} !`, goal: 'A goal', reason: REASON }],
      ['mount', { workspace: value, reason: REASON }],
      ['tag', { ref: `baseline@${value}`, tag: 'best', reason: REASON }],
      ['run', { workspace: 'baseline', reason: REASON, stages: [value] }],
      ['run', { workspace: 'baseline', reason: REASON, config_override: { nothing: { token: value } } }],
      ['run', { workspace: 'baseline', reason: REASON, inputs_override: { ends: { x: value } } }],
      ['register_source', { name: 'more', uri: value, description: 'Data', reason: REASON }],
      ['log_thought', { thought: 'A thought', workspace: value }],
      ['inspect_run', { run_id: value }],
      ['diff', { target: value }],
      [value, {}],
    ];
    for (const [tool, args] of calls) {
      const answer = await project.call(tool, args);
      expect(answer.isError, tool).toBe(true);
    }
  }
}

/** Processes that show one of the words in their arguments or environment, by what they are. */
function shownByProcesses(words: readonly string[]): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const [argv, environ] = ['cmdline', 'environ'].map((file) => readProc(`/proc/${pid}/${file}`));
      const shows = (text = ''): boolean => words.some((word) => text.includes(word));
      const what = environ?.includes('GOLDFISH_RUN_ID=')
        ? 'stage'
        : (argv?.split('\0').slice(0, 4).join(' ') ?? '');
      return [
        ...(shows(argv) ? [`words of ${what}`] : []),
        ...(shows(environ) ? [`environment of ${what}`] : []),
      ];
    });
}

function readProc(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

async function readEverything(project: AttackedProject, runs: readonly Run[]): Promise<void> {
  const ids = runs.map(({ run_id }) => run_id);
  for (const run_id of ids) {
    const include = ['config', 'inputs', 'outputs', 'metrics', 'events', 'attempts', 'debug'];
    await project.must('inspect_run', { run_id, include });
    for (const stream of ['stdout', 'stderr', 'all'])
      await project.must('logs', { run_id, stream, tail: 200 });
    await project.must('logs', { run_id });
    await project.must('metrics', { run_ids: [run_id] });
    await project.command('logs', run_id);
  }
  const calls: [string, object][] = [
    ['status', { include: ['profiles', 'config'] }],
    ['list_runs', {}],
    ['audit_log', { limit: 100 }],
    ['history', { workspace: 'baseline' }],
    ['inspect_workspace', { workspace: 'baseline', include: ['runs', 'pipeline', 'versions', 'thoughts'] }],
    ['compare', { refs: ids }],
    ['lineage', { ref: ids[0] }],
    ['list_profiles', {}],
    ['reload_config', {}],
  ];
  for (const [tool, args] of calls) await project.call(tool, args);
  for (const words of [['status'], ['runs'], ['validate'], ['doctor']]) await project.command(...words);
}

for (const { name, config, skip, backend } of KINDS) {
  describe(`secrets of a stage in ${name}`, () => {
    it.skipIf(skip)('are found nowhere, whatever it does with them', { timeout: 240_000 }, async () => {
      const { dotenv, environment } = secretsOf();
      const host = backend === 'docker' ? '' : `host: '$\{env:ENGINE}', `;
      const project = await attackedProject(
        `${config}docker: { ${host}base_image: '${TEST_IMAGE}' }\n`,
        environment,
      );
      try {
        const given = backend === 'docker' ? [environment['OUTER'] ?? ''] : Object.values(environment);
        const values = [...Object.values(dotenv), ...given];
        const words = wordsOf(values);
        const lines = Object.entries(dotenv).map(
          ([name, value]) => `${name}=${name === 'QUOTED' ? `'${value}'` : `"${value}"`}`,
        );
        project.write('.env', `${lines.join('\n')}\n`, 0o600);
        const runs = await start(project, backend);
        const control = (run: Run): string => project.layout.attempt(run.run_id, 1).control;
        await until(() => runs.every((run) => ready(control(run))), 'the stages', 60);
        const shown = shownByProcesses(words);
        const made = (await Promise.all(runs.map((run) => inspected(backend, run.run_id)))).join('\n');
        const images = backend === 'docker' ? await builtImages(runs) : [];
        const inLayers = (await Promise.all(images.map((id) => wordsInImage(id, words)))).flat();
        // A key that is changed while programs hold the old one.
        project.write('.env', `PLAIN=replaced-${random()}\n`, 0o600);
        for (const run of runs) writeFileSync(join(control(run), 'go'), '');
        const targets = runs.map(({ run_id }) => run_id);
        for (let done = false; !done; ) {
          done = (await project.must('wait', { targets, timeout_seconds: 45 }))['done'] === true;
        }
        project.write('.env', `${lines.join('\n')}\n`, 0o600);
        await callWithSecrets(
          project,
          values.map((value) => value.replaceAll('\n', ' ')).filter((value) => !value.startsWith('unix:')),
        );
        await readEverything(project, runs);
        await project.endSupervisor();

        // The program holds its own; servers and the supervisor have what they were started with.
        const own = (place: string): boolean =>
          place === 'environment of stage' || /^environment of .*(goldfish|serve|supervisor)/.test(place);
        expect(shown.filter((place) => !own(place))).toEqual([]);
        expect(words.filter((word) => made.includes(word))).toEqual([]);
        expect(images.length > 0).toBe(backend === 'docker');
        expect(inLayers).toEqual([]);
        const said = project.said();
        expect(words.filter((word) => said.includes(word))).toEqual([]);
        // What a program writes as an output, or as a checkpoint, is the user's own; so is .env.
        const theirs = (path: string): boolean =>
          path === join(project.root, '.env') ||
          path === project.outside ||
          /\/runs\/[^/]+\/(\d+\/outputs|checkpoints)$/.test(path);
        expect(filesWith(project.base, words, theirs)).toEqual([]);
        expect(said).toContain('***');
        const ends = await Promise.all(runs.map(({ run_id }) => project.must('inspect_run', { run_id })));
        expect(ends.map(({ cause }) => cause).sort()).toEqual(['exit_nonzero', 'output_missing']);
      } finally {
        await project.dispose();
      }
    });
  });
}

function ready(folder: string): boolean {
  try {
    return readdirSync(folder).includes('ready');
  } catch {
    return false;
  }
}

/** What the engine tells of the containers of a run, and of their image. */
async function inspected(backend: string, runId: string): Promise<string> {
  if (backend !== 'docker') return '';
  const found = await containersOf({ runId });
  const told = await Promise.all(
    found.map(async ({ Id, ImageID }) => [
      await docker.getContainer(Id).inspect(),
      await docker.getImage(ImageID).inspect(),
      await docker.getImage(ImageID).history(),
    ]),
  );
  return JSON.stringify(told);
}

/** Ids of the images of some runs that were built for them. */
async function builtImages(runs: readonly Run[]): Promise<string[]> {
  const { Id: base } = await docker.getImage(TEST_IMAGE).inspect();
  const found = await Promise.all(runs.map(({ run_id }) => containersOf({ runId: run_id })));
  const ids = new Set(found.flat().map(({ ImageID }) => ImageID));
  return [...ids].filter((id) => id !== base);
}
