import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { type SignalType, signalFileName } from '../../../src/core/signals.ts';

const run = promisify(execFile);

const LIBRARIES = join(import.meta.dirname, '../../../sdk');

type Stage = {
  name: string;
  command?: string[];
  inputs?: Record<string, { from_stage: string; signal: string }>;
  outputs: Record<string, SignalType | { type: SignalType }>;
};

export type Executed = {
  /** `stage/file` → sha256 of the content, of every file below the outputs folders. */
  hashes: Record<string, string>;
  /** Last value by `stage/metric`. */
  metrics: Record<string, number>;
  /** Content of an output file. */
  output: (path: string) => Promise<string>;
};

/**
 * Runs the stages of a workspace one after the other as the SPEC's §5 says they see the world, without Goldfish.
 * `overrides` are laid over configs/<stage>.yaml; `environment` is added to the minimal one.
 */
export async function runByHand(request: {
  workspace: string;
  folder: string;
  overrides?: Record<string, Record<string, unknown>>;
  environment?: Record<string, string>;
}): Promise<Executed> {
  const { stages } = parse(await readFile(join(request.workspace, 'pipeline.yaml'), 'utf8')) as {
    stages: Stage[];
  };
  const outputs = new Map(stages.map((stage) => [stage.name, typesOf(stage)]));
  const code = join(request.folder, 'code');
  await cp(request.workspace, code, { recursive: true });
  await mkdir(join(request.folder, 'node_modules'));
  await symlink(join(LIBRARIES, 'node'), join(request.folder, 'node_modules', 'goldfish'));
  const executed: Executed = {
    hashes: {},
    metrics: {},
    output: (path) => readFile(join(request.folder, ...outputPath(path)), 'utf8'),
  };
  for (const stage of stages) {
    const place = (...parts: string[]): string => join(request.folder, stage.name, ...parts);
    for (const name of ['inputs', 'outputs', 'control', 'checkpoints', 'tmp']) {
      await mkdir(place(name), { recursive: true });
    }
    const inputs: Record<string, { type: SignalType; path: string }> = {};
    for (const [name, from] of Object.entries(stage.inputs ?? {})) {
      const type = outputs.get(from.from_stage)?.[from.signal];
      if (type === undefined) throw new Error(`${stage.name}.${name} has no producer`);
      const path = place('inputs', signalFileName(name, type));
      await cp(join(request.folder, from.from_stage, 'outputs', signalFileName(from.signal, type)), path);
      inputs[name] = { type, path };
    }
    const document = {
      config: { ...(await stageConfig(request.workspace, stage.name)), ...request.overrides?.[stage.name] },
      inputs,
      outputs: Object.fromEntries(
        Object.entries(typesOf(stage)).map(([name, type]) => [
          name,
          { type, path: place('outputs', signalFileName(name, type)) },
        ]),
      ),
      run: {
        run_id: 'stage-0123456789ab',
        workspace: 'by-hand',
        version: 'v1',
        stage: stage.name,
        attempt: 1,
      },
    };
    await writeFile(place('config.json'), JSON.stringify(document));
    const [program = '', ...args] = stage.command ?? ['python3', '-m', `modules.${stage.name}`];
    await run(program, args, {
      cwd: code,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '/',
        LANG: 'C.UTF-8',
        TMPDIR: place('tmp'),
        PYTHONPATH: join(LIBRARIES, 'python'),
        PYTHONDONTWRITEBYTECODE: '1',
        GOLDFISH_CONFIG: place('config.json'),
        GOLDFISH_INPUTS: place('inputs'),
        GOLDFISH_OUTPUTS: place('outputs'),
        GOLDFISH_CONTROL: place('control'),
        GOLDFISH_CHECKPOINTS: place('checkpoints'),
        ...request.environment,
      },
    });
    for (const file of (await readdir(place('outputs'), { recursive: true })).sort()) {
      const content = await readFile(place('outputs', file));
      executed.hashes[`${stage.name}/${file}`] = createHash('sha256').update(content).digest('hex');
    }
    Object.assign(executed.metrics, await lastMetrics(place('control', 'metrics.jsonl'), stage.name));
  }
  return executed;
}

function typesOf(stage: Stage): Record<string, SignalType> {
  const types = Object.entries(stage.outputs).map(([name, signal]) => {
    return [name, typeof signal === 'string' ? signal : signal.type] as const;
  });
  return Object.fromEntries(types);
}

function outputPath(path: string): string[] {
  const [stage = '', ...rest] = path.split('/');
  return [stage, 'outputs', ...rest];
}

async function stageConfig(workspace: string, stage: string): Promise<Record<string, unknown>> {
  const text = await readFile(join(workspace, 'configs', `${stage}.yaml`), 'utf8').catch(() => '{}');
  return parse(text) as Record<string, unknown>;
}

async function lastMetrics(file: string, stage: string): Promise<Record<string, number>> {
  const metrics: Record<string, number> = {};
  for (const line of (await readFile(file, 'utf8')).trimEnd().split('\n')) {
    const { name, value } = JSON.parse(line) as { name?: string; value: number };
    if (name !== undefined) metrics[`${stage}/${name}`] = value;
  }
  return metrics;
}
