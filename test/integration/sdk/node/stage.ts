import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import type * as Library from '../../../../sdk/node/index.js';
import { type SignalType, signalFileName } from '../../../../src/core/signals.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../../../..');
export const LIBRARY = join(ROOT, 'sdk/node');
const PYTHON_LIBRARY = join(ROOT, 'sdk/python');

/** As a program gets it: not through the test runner's own way of loading modules. */
export const goldfish: Omit<typeof Library, 'default'> = createRequire(import.meta.url)(LIBRARY);
/** A module of the library's inside, for what cannot be reached from outside in reasonable time. */
export function inner<Module>(name: string): Module {
  return createRequire(import.meta.url)(join(LIBRARY, 'lib', name));
}

type Signals = Record<string, SignalType>;
type Declared = {
  config?: Record<string, unknown>;
  inputs?: Signals;
  outputs?: Signals;
  attempt?: number;
};

/** The folders of one run, as a backend lays them out, and this process as the stage that runs in them. */
export type Stage = {
  root: string;
  inputs: string;
  outputs: string;
  control: string;
  checkpoints: string;
  variables: Record<string, string>;
  /** A file that the run finds as its input. */
  input(name: string, content: string | Uint8Array): void;
  output(name: string): string;
  /** Runs a program as this stage, with the library where Node finds it; `node` is the interpreter. */
  node(program: string, options?: { node?: string; args?: string[]; environment?: object }): Promise<Ran>;
  /** Starts one that does not end by itself; `stop` ends it. */
  start(program: string): { pid: number; ended: Promise<void>; stop(): Promise<void> };
  /** Runs Python with Goldfish's Python library as this stage; what it printed. */
  python(program: string): Promise<string>;
  /** The next attempt of the same run. */
  next(declared?: Declared): Stage;
  dispose(): void;
};
export type Ran = { stdout: string; stderr: string };

let number = 0;

export function openStage(declared: Declared = {}, root?: string): Stage {
  const own = root ?? mkdtempSync(join(tmpdir(), 'goldfish sdk ü-'));
  number += 1;
  const place = join(own, `attempt ${declared.attempt ?? 1} ${number}`);
  const folder = (name: string): string => {
    const path = name === 'checkpoints' ? join(own, name) : join(place, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const [inputs, outputs, control, checkpoints, code] = [
    folder('inputs'),
    folder('outputs'),
    folder('control'),
    folder('checkpoints'),
    folder('code'),
  ];
  const paths = (signals: Signals = {}, below: string) =>
    Object.fromEntries(
      Object.entries(signals).map(([name, type]) => [
        name,
        { type, path: join(below, signalFileName(name, type)) },
      ]),
    );
  const document = {
    config: declared.config ?? {},
    inputs: paths(declared.inputs, inputs),
    outputs: paths(declared.outputs, outputs),
    run: {
      run_id: 'stage-0123456789ab',
      workspace: 'birds',
      version: 'v3',
      stage: 'train',
      attempt: declared.attempt ?? 1,
    },
  };
  const config = join(place, 'config.json');
  writeFileSync(config, JSON.stringify(document));
  mkdirSync(join(place, 'node_modules'));
  symlinkSync(LIBRARY, join(place, 'node_modules', 'goldfish'));
  const variables = {
    GOLDFISH_CONFIG: config,
    GOLDFISH_INPUTS: inputs,
    GOLDFISH_OUTPUTS: outputs,
    GOLDFISH_CONTROL: control,
    GOLDFISH_CHECKPOINTS: checkpoints,
  };
  const environment = { PATH: process.env['PATH'] ?? '', HOME: own, LANG: 'C.UTF-8', ...variables };
  leaveStage();
  Object.assign(process.env, variables);
  const write = (program: string): string => {
    number += 1;
    const file = join(code, `program-${number}.mjs`);
    writeFileSync(file, program);
    return file;
  };

  return {
    root: own,
    inputs,
    outputs,
    control,
    checkpoints,
    variables,
    input: (name, content) => writeFileSync(join(inputs, name), content),
    output: (name) => join(outputs, name),
    node: (program, { node = process.execPath, args = [], environment: more = {} } = {}) =>
      run(node, [...args, write(program)], {
        cwd: code,
        env: { ...environment, ...more },
        maxBuffer: 1 << 26,
      }),
    start: (program) => {
      const child = spawn(process.execPath, [write(program)], {
        cwd: code,
        env: environment,
        stdio: 'ignore',
      });
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      const stop = (): Promise<void> => {
        child.kill('SIGKILL');
        return ended;
      };
      return { pid: child.pid ?? 0, ended, stop };
    },
    python: async (program) => {
      const env = { ...environment, PYTHONPATH: PYTHON_LIBRARY, PYTHONDONTWRITEBYTECODE: '1' };
      return (await run('python3', ['-c', program], { cwd: code, env, maxBuffer: 1 << 26 })).stdout;
    },
    next: (again = {}) => openStage({ ...declared, attempt: (declared.attempt ?? 1) + 1, ...again }, own),
    dispose: () => {
      leaveStage();
      rmSync(own, { recursive: true, force: true });
    },
  };
}

/** From here on this process is no stage. */
export function leaveStage(): void {
  for (const name of Object.keys(process.env)) if (name.startsWith('GOLDFISH_')) delete process.env[name];
}

/** The act throws a GoldfishError of exactly this one line ("…" at the end: of this beginning). */
export function refuses(act: () => unknown, message: string): void {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(goldfish.GoldfishError);
  const said = thrown instanceof Error ? thrown.message : '';
  expect(said).not.toContain('\n');
  if (message.endsWith('…')) expect(said.slice(0, message.length - 1)).toBe(message.slice(0, -1));
  else expect(said).toBe(message);
}

/** Long enough ago for a touch to be seen, whatever the file system's clock. */
export const LONG_AGO = new Date(1e12);
export function age(file: string): void {
  utimesSync(file, LONG_AGO, LONG_AGO);
}
