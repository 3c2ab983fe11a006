import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '../../../src/core/json.ts';
import { until } from '../../integration/until.ts';
import type { Backend } from '../kit/fault-project.ts';
import { leftovers } from '../kit/leftovers.ts';
import { LONG } from '../kit/outcome.ts';
import { createTally, type Tally } from '../kit/tally.ts';
import { otherRefusal, refusalOf } from './refusal.ts';
import { canMount, createSmallDisk, NEEDS_MOUNT, type SmallDisk } from './small-disk.ts';
import {
  createStageProject,
  hasEngine,
  NEEDS_ENGINE,
  REASON,
  type Stage,
  type StageProject,
  WORKSPACE,
} from './stage-project.ts';

const MB = 1 << 20;

let disk: SmallDisk;
let opened: StageProject | undefined;
beforeEach(() => {
  if (!canMount) return;
  disk = createSmallDisk(128);
  vi.stubEnv('TMPDIR', disk.path);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  if (!canMount) return;
  disk.free();
  await opened?.close();
  opened = undefined;
  disk.dispose();
});

async function open(backend: Backend, stages: Record<string, Stage>): Promise<StageProject> {
  opened = await createStageProject({ backend, stages });
  return opened;
}

/** Says that it stands at the gate, and waits for it. Empty files need no room. */
const AT_GATE = `import os, sys, time
control = os.environ["GOLDFISH_CONTROL"]
open(control + "/ready", "w").close()
limit = time.monotonic() + 120
while not os.path.exists(control + "/gate") and time.monotonic() < limit:
    time.sleep(0.02)
`;

/** A folder with a file that is executable, which is stored as a copy. */
const OUTPUT = `import json
with open(os.environ["GOLDFISH_CONFIG"]) as file:
    outputs = json.load(file)["outputs"]
os.makedirs(outputs["made"]["path"], exist_ok=True)
with open(outputs["made"]["path"] + "/tool", "wb") as file:
    file.write(os.urandom(4 << 20))
os.chmod(outputs["made"]["path"] + "/tool", 0o755)
`;

const control = ({ project }: StageProject, runId: string, name: string): string =>
  join(project.layout.attempt(runId, 1).control, name);

async function standAtGate(world: StageProject, runs: Record<string, string>): Promise<void> {
  for (const [stage, runId] of Object.entries(runs)) {
    await until(() => existsSync(control(world, runId, 'ready')), `the gate of ${stage}`, 90);
  }
}

const openGate = (world: StageProject, runId: string): void =>
  writeFileSync(control(world, runId, 'gate'), '');

/** Ends the project's programs, and says what they leave. */
async function countLeftovers({ project, server }: StageProject, tally: Tally): Promise<void> {
  await server.close();
  await project.endPrograms('SIGTERM');
  const left = (await leftovers(project.place())).filter((line) => !line.includes('ballast'));
  tally.count('no-leftovers', left.length === 0 ? undefined : left.join('; '));
}

describe.skipIf(!canMount)(`a disk without room${NEEDS_MOUNT}`, () => {
  it('refuses calls that store something, loses nothing that is stored, and takes them again', async () => {
    const tally = createTally();
    const world = await open('process', { one: { code: 'print("one")\n' } });
    const { server, project, slot } = world;
    const first = await world.over((await world.run())['one'] ?? '');
    expect(first['cause']).toBe('success');
    project.write(`${slot}/modules/one.py`, `# ${'an edit '.repeat(20_000)}\nprint("two")\n`);
    disk.fill();

    const version = { slot: 'w1', message: 'A version for which there is no room' };
    const unwritable = { code: 'STORAGE_UNAVAILABLE', retryable: true };
    tally.count('clear-refusal', otherRefusal(await refusalOf(server, 'checkpoint', version), unwritable));
    const run = { workspace: WORKSPACE, reason: REASON };
    tally.count('clear-refusal', otherRefusal(await refusalOf(server, 'run', run), unwritable));
    const backup = await refusalOf(server, 'backup', { action: 'create' });
    tally.count('clear-refusal', otherRefusal(backup, unwritable));
    const { kept, refusal } = await thoughtsUntilRefused(world);
    tally.count('clear-refusal', otherRefusal(refusal, unwritable));
    tally.count(
      'edits',
      readFileSync(join(project.root, slot, 'modules/one.py'), 'utf8').endsWith('print("two")\n')
        ? undefined
        : 'the edit is gone',
    );

    disk.free();
    const made = await server.call('checkpoint', version);
    tally.count('clear-refusal', made['version'] === undefined ? JSON.stringify(made) : undefined);
    const thoughts = project.db
      .prepare<{ id: string }>('SELECT id FROM thoughts')
      .all()
      .map(({ id }) => id);
    tally.count(
      'clear-refusal',
      kept.join() === thoughts.sort().join() ? undefined : 'other thoughts than were kept',
    );
    const again = await world.over((await world.run())['one'] ?? '');
    tally.count('right-end', again['cause'] === 'success' ? undefined : JSON.stringify(again));
    const { backups } = await server.call('backup', { action: 'list' });
    tally.count('clear-refusal', (backups as unknown[]).length === 0 ? undefined : 'half a backup is listed');
    const whole = await server.call('backup', { action: 'create' });
    tally.count('clear-refusal', whole['backup'] === undefined ? JSON.stringify(whole) : undefined);
    await countLeftovers(world, tally);
    tally.state({ fault: 'disk full under version, database, backup', backend: 'process' });
  });

  it('lets a run wait whose code finds no room, and starts it when there is some', async () => {
    const tally = createTally();
    const world = await open('process', { one: { code: 'print("one")\n' } });
    // Small in the store, large in a checkout.
    for (const name of ['a', 'b', 'c']) world.project.write(`${world.slot}/${name}.txt`, '0'.repeat(4 * MB));
    disk.fill(6 * MB);
    const { one = '' } = await world.run();
    const log = (): string => readFileSync(world.project.layout.supervisorLog, 'utf8');
    await until(
      () => log().includes('work on a run failed and will be tried again'),
      'a start without room',
      60,
    );
    const waiting = await world.inspect(one);
    tally.count('right-end', waiting['cause'] == null ? undefined : JSON.stringify(waiting));
    disk.free();
    const run = await world.over(one);
    tally.count('right-end', run['cause'] === 'success' ? undefined : JSON.stringify(run));
    await countLeftovers(world, tally);
    tally.state({ fault: 'disk full under the checkout of a run', backend: 'process' });
  });

  const backends = LONG ? (['process', 'docker'] as const) : (['process'] as const);
  describe.for(backends)('under programs on %s', (backend) => {
    const skip = backend === 'docker' && !hasEngine;
    it.skipIf(skip)(
      `ends each with what it has, or a cause that says what is missing, and the rest once there is room${skip ? NEEDS_ENGINE : ''}`,
      () => programs(backend),
    );
  });
});

/** Calls that were answered, until one was refused. */
async function thoughtsUntilRefused({ server }: StageProject) {
  const kept: string[] = [];
  for (let n = 0; n < 2_000; n += 1) {
    const args = { thought: `${n} ${'x'.repeat(3_000)}` };
    const refusal = await refusalOf(server, 'log_thought', args).catch(() => undefined);
    if (refusal !== undefined) return { kept, refusal };
    const row = opened?.project.db.prepare<{ id: string }>('SELECT max(id) AS id FROM thoughts').get();
    kept.push(row?.id ?? '');
  }
  return { kept, refusal: undefined };
}

const STAGES: Record<string, Stage> = {
  // Stored as a copy: 4 MB more.
  storer: { code: `${AT_GATE}${OUTPUT}`, outputs: 'made: directory' },
  logger: { code: `${AT_GATE}for n in range(40000):\n    print("%099d" % n)\n` },
  saver: {
    code: `${AT_GATE.replace('import os', 'import goldfish, os')}goldfish.save_checkpoint("big", b"x" * (8 << 20))\n`,
  },
  metrics: {
    code: `${AT_GATE.replace('import os', 'import goldfish, os')}for n in range(100000):\n    goldfish.log_metric("loss", n, n)\n`,
  },
  filler: {
    code: `${AT_GATE}with open(os.environ["GOLDFISH_OUTPUTS"] + "/much", "wb") as file:\n    while True:\n        file.write(b"x" * (1 << 20))\n`,
  },
  quiet: { code: AT_GATE },
};

async function programs(backend: Backend): Promise<void> {
  const tally = createTally();
  const world = await open(backend, STAGES);
  const runs = await world.run();
  await standAtGate(world, runs);

  // Room for what the store notes, none for the copy of an output.
  disk.fill(7 * MB);
  openGate(world, runs['storer'] ?? '');
  const storer = await world.over(runs['storer'] ?? '', 120);
  const isSaid = storer['cause'] === 'upload_failed' && errnoOf(storer) === 'ENOSPC';
  tally.count('right-end', isSaid ? undefined : `storer: ${JSON.stringify(storer)}`);

  disk.fill();
  for (const stage of ['saver', 'metrics', 'filler', 'logger', 'quiet']) openGate(world, runs[stage] ?? '');
  const ended = (stage: string): boolean => {
    const { result } = world.project.layout.attempt(runs[stage] ?? '', 1);
    return existsSync(result) && readFileSync(result, 'utf8').includes('"endedAt"');
  };
  for (const stage of Object.keys(STAGES)) await until(() => ended(stage), `the result of ${stage}`, 90);
  disk.free();
  for (const [stage, runId] of Object.entries(runs)) {
    if (stage !== 'storer') tally.count('right-end', wrongEnd(stage, await world.over(runId, 120)));
  }
  await countMetrics(world, tally, runs['metrics'] ?? '');
  const retried = await world.server.call('retry', { run_id: runs['storer'] ?? '', reason: REASON });
  const [second] = retried['runs'] as JsonObject[];
  const id = String(second?.['run_id']);
  await until(() => existsSync(control(world, id, 'ready')), 'the gate of the second storer', 90);
  openGate(world, id);
  const stored = await world.over(id, 120);
  tally.count(
    'outputs',
    stored['cause'] === 'success' ? undefined : `stored again: ${JSON.stringify(stored)}`,
  );
  await countLeftovers(world, tally);
  tally.state({ fault: 'disk full under log, metrics, checkpoint, outputs, result document', backend });
}

function errnoOf(run: JsonObject): unknown {
  return (run['failure'] as JsonObject | null)?.['errno'];
}

/** What each program that met the full disk must have ended as, and that it says what was missing. */
function wrongEnd(stage: string, run: JsonObject): string | undefined {
  const { cause } = run;
  const told = `${stage}: ${JSON.stringify(run)}`;
  if (stage === 'quiet') return cause === 'success' ? undefined : told;
  const incomplete = 'The log is incomplete: No space left on device.';
  // It ended well, and its log has not all it printed: that must be said.
  if (stage === 'logger') return cause === 'success' && run['message'] === incomplete ? undefined : told;
  const failure = (run['failure'] ?? {}) as JsonObject;
  const isSaid =
    failure['message'] === `The program ended with exit code 1. ${incomplete}` && errnoOf(run) === 'ENOSPC';
  // Where another one ended just then, there was room for its own last word.
  const saysSo = String(failure['first_error_line']).includes('No space left on device');
  return cause === 'exit_nonzero' && (isSaid || saysSo) ? undefined : told;
}

/** What the program could write is there, each step once. */
async function countMetrics({ project }: StageProject, tally: Tally, runId: string): Promise<void> {
  const { metrics } = project.layout.attempt(runId, 1);
  const lines = readFileSync(metrics, 'utf8').split('\n').slice(0, -1).length;
  const row = project.db
    .prepare<{ n: number; steps: number }>(
      'SELECT count(*) AS n, count(DISTINCT step) AS steps FROM metrics WHERE run_id = ?',
    )
    .get(runId);
  tally.count(
    'outputs',
    row?.n === lines && row.steps === lines ? undefined : `${row?.n} points of ${lines} lines`,
  );
}
