import { existsSync, globSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import Docker from 'dockerode';
import { LABELS } from '../../../src/backends/container.ts';
import { createEngine } from '../../../src/backends/docker/engine.ts';
import { sweep } from '../../../src/backends/docker/sweep.ts';
import { openContext } from '../../../src/context.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { hashJson } from '../../../src/core/json.ts';
import { projectLayout } from '../../../src/core/layout.ts';
import { collectGarbage } from '../../../src/data/gc.ts';
import { processStart } from '../../../src/os/process-identity.ts';

export const ENGINE_SOCKET = '/var/run/docker.sock';
const DAY_AND_MORE_MS = 25 * 3_600_000;

/** Where to look for what a project may have left. Paths are real paths. */
export type Place = {
  root: string;
  stateDir: string;
  /** Runs whose processes, containers and control groups are looked for on the whole machine. */
  runIds: readonly string[];
  /** TMPDIR and XDG_RUNTIME_DIR of everything that was started for the project, where they are its own. */
  tempDir?: string;
  runtimeDir?: string;
  /** The engine that was used, where it is not the machine's own. */
  engineSocket?: string;
};

/**
 * What is left of a project's work, in words, once everything of it has ended (servers and supervisors too): processes,
 * containers, mounts, control groups, sockets, temporary folders, scratch of attempts. Empty where nothing is.
 */
export async function leftovers(place: Place): Promise<string[]> {
  return [
    ...(await stillThere(place)).map(({ pid, words }) => `process ${pid}: ${words}`),
    ...(await containersOf(place))
      .filter(isOfRun)
      .map(({ Names, State }) => `container ${Names.join()} (${State})`),
    ...mountsOf(place).map((line) => `mount ${line}`),
    ...controlGroupsOf(place).map((path) => `control group ${path}`),
    ...scratchOf(place).map((path) => `scratch ${path}`),
    ...entriesOf(place.tempDir).map((name) => `temporary ${name}`),
    ...entriesOf(place.runtimeDir && join(place.runtimeDir, 'goldfish')).map((name) => `socket ${name}`),
  ];
}

/** One that is just ending has given back its words and its environment, and is gone at a second look. */
async function stillThere(place: Place): Promise<Found[]> {
  const first = processesOf(place);
  if (first.length === 0) return first;
  await systemClock.sleep(1_000);
  return processesOf(place).filter(({ pid }) => first.some((seen) => seen.pid === pid));
}

/** The trial of an image, whose maker was killed, goes with the next launch: `leftoversAfterGc`. */
const isOfRun = ({ Labels }: { Labels: Record<string, string> }): boolean => LABELS.run in Labels;

/**
 * What a process that was killed in the middle of a copy left inside the private state is taken by `gc` a day later, and
 * what it left of a slot's index by the next save. This is what is still there after that.
 */
export async function leftoversAfterGc(place: Place): Promise<string[]> {
  const { root, stateDir } = place;
  await sweepContainers(place);
  const containers = await containersOf(place);
  const clock = { ...systemClock, now: () => systemClock.now() + DAY_AND_MORE_MS };
  const context = await openContext({ root, clock });
  try {
    const { problems } = await collectGarbage(context.runsDeps, { dryRun: false });
    return [
      ...containers.map(({ Names, State }) => `container ${Names.join()} (${State})`),
      ...problems.map(({ kind, message }) => `gc of ${kind}: ${message}`),
      ...TEMPORARY.flatMap((pattern) => globSync(pattern, { cwd: stateDir })),
    ];
  } finally {
    await context.close();
  }
}

/** What the first launch of a supervisor does. */
async function sweepContainers({ root, stateDir, engineSocket = ENGINE_SOCKET }: Place): Promise<void> {
  if (!existsSync(engineSocket)) return;
  const engine = createEngine({ kind: 'socket', path: engineSocket });
  const layout = projectLayout(root, stateDir);
  await sweep({ engine, layout, clock: systemClock, project: projectOf(stateDir) });
}

const TEMPORARY = [
  'scratch/*',
  'objects/.goldfish-tmp/*',
  'code/.*.making*',
  'folders/*.????????',
  'environments/.*',
  'slots/*.index.*',
];

type Found = { pid: number; words: string };

/** Living processes that carry a run's mark, have a path of the project in their words, or stand in it. */
export function processesOf({ root, stateDir, runIds }: Place): Found[] {
  const marks = new Set(runIds.map((id) => `GOLDFISH_RUN_ID=${id}`));
  const found: Found[] = [];
  for (const pid of readdirSync('/proc').filter(isNumber).map(Number)) {
    if (pid === process.pid || processStart(pid) === undefined) continue;
    const words = read(`/proc/${pid}/cmdline`).split('\0').join(' ').trim();
    const isMarked = read(`/proc/${pid}/environ`)
      .split('\0')
      .some((entry) => marks.has(entry));
    const stands = standsIn(pid);
    const isOurs = [root, stateDir].some((path) => words.includes(path) || stands.startsWith(path));
    if (isMarked || isOurs) found.push({ pid, words: words.slice(0, 200) });
  }
  return found;
}

/** Of everything that a project has in the engine. */
export function projectLabel({ stateDir }: { stateDir: string }): string {
  return `${LABELS.project}=${projectOf(stateDir)}`;
}

/** As the docker adapter names it. */
function projectOf(stateDir: string): string {
  return hashJson({ stateDir }).replace('sha256:', '').slice(0, 16);
}

async function containersOf(place: Pick<Place, 'stateDir' | 'engineSocket'>) {
  const socketPath = place.engineSocket ?? ENGINE_SOCKET;
  if (!existsSync(socketPath)) return [];
  const engine = new Docker({ socketPath });
  const filters = { label: [projectLabel(place)] };
  return engine.listContainers({ all: true, filters }).catch((error: unknown) => {
    if (['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  });
}

/** Ends by their ids, for a test that failed: processes that are left and containers. */
export async function endLeftovers(place: Place): Promise<void> {
  for (const { pid } of processesOf(place)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  const engine = new Docker({ socketPath: place.engineSocket ?? ENGINE_SOCKET });
  for (const { Id } of await containersOf(place)) {
    await engine
      .getContainer(Id)
      .remove({ force: true, v: true })
      .catch(() => undefined);
  }
}

function mountsOf({ root, stateDir }: Place): string[] {
  const lines = read('/proc/self/mountinfo').split('\n');
  return lines
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${root}/`) || path.startsWith(`${stateDir}/`));
}

function controlGroupsOf({ runIds }: Place): string[] {
  const ids = new Set(runIds);
  const groups = globSync('/sys/fs/cgroup/{,*/,*/*/,*/*/*/}goldfish-stage-*');
  return groups.filter((path) => ids.has(/goldfish-(stage-[0-9a-f]+)-/.exec(path)?.[1] ?? ''));
}

function scratchOf({ stateDir }: Place): string[] {
  return globSync(['runs/*/*/{inputs,inputs.unfinished,tmp}', 'runs/*/*/ranks/*/tmp'], { cwd: stateDir });
}

function entriesOf(folder: string | undefined): string[] {
  if (folder === undefined || !existsSync(folder)) return [];
  return readdirSync(folder);
}

function standsIn(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function isNumber(name: string): boolean {
  return /^\d+$/.test(name);
}
