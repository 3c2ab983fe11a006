import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { assetPath } from '../../core/assets.ts';
import { connectStdio, type ToolClient } from '../../mcp/client.ts';
import { listOf, numberAt, textAt } from './answers.ts';
import { type DemoReport, renderReport } from './report.ts';

export type DemoOptions = {
  /** Where the project is made; a new temporary folder where absent. */
  folder?: string;
  json: boolean;
};

const WORKSPACE = 'penguins';
/** Bounded waits follow each other until the work is over; this bounds them all. */
const MAX_WAITS = 6;

/**
 * The main job on real data, as an agent does it: through a real client, over stdio, against a server of its own.
 * Prints what happened and where everything is. Resolves to the exit code.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const say = (line: string): void => {
    if (!options.json) process.stdout.write(`${line}\n`);
  };
  const started = performance.now();
  const folder = await demoFolder(options.folder);
  say(`An agent opens a server in ${folder}`);
  const client = await connectStdio({
    command: process.execPath,
    args: [assetPath('bin/goldfish.js'), 'serve'],
    cwd: folder,
  });
  try {
    const report = await experiment(client, folder, say);
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    if (options.json) process.stdout.write(`${JSON.stringify({ ...report, seconds }, null, 2)}\n`);
    else process.stdout.write(renderReport(report, seconds));
    return 0;
  } finally {
    await client.close();
  }
}

async function demoFolder(given: string | undefined): Promise<string> {
  if (given === undefined) return mkdtemp(join(tmpdir(), 'goldfish-demo-'));
  const folder = resolve(given);
  await mkdir(folder, { recursive: true });
  return folder;
}

async function experiment(
  client: ToolClient,
  folder: string,
  say: (line: string) => void,
): Promise<DemoReport> {
  await client.call('initialize_project', { name: 'penguins-demo' });
  const created = await client.call('create_workspace', {
    name: WORKSPACE,
    goal: 'Tell three species of penguins apart by their bodies',
    reason: 'First look at the Palmer penguins',
  });
  say(`create_workspace ${WORKSPACE} → ${textAt(created, 'version')}`);
  const mounted = await client.call('mount', { workspace: WORKSPACE, reason: 'Write the first pipeline' });
  const slot = join(folder, textAt(mounted, 'path'));
  say(`mount → ${textAt(mounted, 'path')}, where the agent writes a pipeline of four stages`);
  await writePipeline(slot);

  const first = await runAndWait(client, 'Baseline: logistic regression and 1 nearest neighbour', say);
  const config = join(slot, 'configs', 'train_knn.yaml');
  const before = await readFile(config, 'utf8');
  await writeFile(config, before.replace(/^k: \d+$/m, 'k: 7'));
  say('The agent sets k: 7 in configs/train_knn.yaml');
  const second = await runAndWait(client, 'Seven neighbours should be less noisy than one', say);
  const comparison = await client.call('compare', { refs: [first.id, second.id] });
  return {
    folder,
    slot: textAt(mounted, 'path'),
    versions: [textAt(created, 'version'), first.version, second.version],
    runs: [...first.runs, ...second.runs],
    pipelineRuns: [first.id, second.id],
    metrics: listOf(comparison, 'metrics').map((metric) => ({
      name: textAt(metric, 'name'),
      values: listOf(metric, 'values', true),
      change: numberAt(metric, 'change'),
    })),
    config: listOf(comparison, 'config').map((item) => ({
      name: textAt(item, 'name'),
      values: listOf(item, 'values', true),
    })),
  };
}

/** What an agent would do with its editor: the template's files go, the experiment's come. */
async function writePipeline(slot: string): Promise<void> {
  for (const name of ['configs', 'modules', 'pipeline.yaml', 'README.md']) {
    await rm(join(slot, name), { recursive: true, force: true });
  }
  await cp(assetPath('examples/penguins'), slot, { recursive: true });
}

type Finished = { id: string; version: string; runs: DemoReport['runs'] };

async function runAndWait(
  client: ToolClient,
  reason: string,
  say: (line: string) => void,
): Promise<Finished> {
  const submitted = await client.call('run', { workspace: WORKSPACE, reason });
  const id = textAt(submitted, 'pipeline_run_id');
  const version = textAt(submitted, 'version');
  say(`run → ${version}, ${id}: ${reason}`);
  let done = false;
  for (let waits = 0; waits < MAX_WAITS && !done; waits += 1) {
    done = (await client.call('wait', { targets: [id] }))['done'] === true;
  }
  const listed = listOf(await client.call('list_runs', { pipeline_run_id: id }), 'runs').reverse();
  const runs: DemoReport['runs'] = [];
  for (const row of listed) {
    const runId = textAt(row, 'run_id');
    const details = await client.call('inspect_run', { run_id: runId });
    runs.push({
      runId,
      pipelineRunId: id,
      version,
      stage: textAt(row, 'stage'),
      state: textAt(row, 'state'),
      cause: textAt(row, 'cause'),
      outputs: Object.fromEntries(
        listOf(details, 'outputs').map((output) => [textAt(output, 'name'), textAt(output, 'hash')]),
      ),
    });
  }
  const failed = runs.filter((run) => run.state !== 'completed');
  if (!done || failed.length > 0) {
    throw new Error(`the demo's pipeline did not complete: ${failed.map((run) => run.stage).join(', ')}`);
  }
  return { id, version, runs };
}
