import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wrapperRequest } from '../../src/backends/start-wrapper.ts';
import type { RankSpec, WrapperSpec } from '../../src/backends/wrapper-spec.ts';
import { assetPath } from '../../src/core/assets.ts';
import { type FakeEngine, startFakeEngine } from './fake-engine.ts';
import { attemptFolder, PYTHON, startWrapper, wrapperLog, wrapperResult } from './run-wrapper.ts';

/** The machine's own where it has one: other users can execute it. */
export const CONTAINER_PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : PYTHON;
export const INIT = [CONTAINER_PYTHON, '-I', '-S', '-B', assetPath('runtime/container_init.py'), '--'];
export const sh = (script: string): string[] => ['/bin/sh', '-c', script];
export const py = (script: string): string[] => [CONTAINER_PYTHON, '-c', script];

/** `launcher`: what stands in front of argv where it is not our usual first process. */
export type Box = {
  argv: string[];
  init?: boolean;
  environment?: Record<string, string>;
  launcher?: string[];
};

type Made = { dir: string; names: string[]; control: string };
type Ended = Made & { result: Record<string, unknown>; log: string[] };
type Change = Partial<WrapperSpec>;

/** Containers of an engine that executes real processes, and attempts whose ranks they are. */
export type Containers = {
  home: string;
  engine: FakeEngine;
  /** A container per rank, none started; GOLDFISH_CONTROL is the rank's control folder. */
  create(boxes: Box[], change?: Change): Promise<Made>;
  /** Creates one, and runs it to its end. */
  run(box: Box, secrets?: Record<string, string>, change?: Change): Promise<Ended>;
  close(): Promise<void>;
};

export async function openContainers(): Promise<Containers> {
  const home = await mkdtemp(join(tmpdir(), 'goldfish-container-'));
  const engine = await startFakeEngine(join(home, 'engine.sock'));

  const create: Containers['create'] = async (boxes, change = {}) => {
    const names: string[] = [];
    const program = (control: string, box: Box): RankSpec['program'] => {
      const { argv, init = true, environment = {}, launcher = INIT } = box;
      const container = engine.create({
        argv: init ? [...launcher, ...argv] : argv,
        environment: { GOLDFISH_CONTROL: control, ...environment },
        init,
      });
      names.push(container);
      return { kind: 'container', engine: engine.address, container, init };
    };
    const dir = await attemptFolder(
      home,
      boxes.map((box) => (control) => program(control, box)),
      change,
    );
    return { dir, names, control: join(dir, 'control') };
  };
  return {
    home,
    engine,
    create,
    run: async (box, secrets = {}, change = {}) => {
      const made = await create([box], change);
      await startWrapper(made.dir, wrapperRequest(secrets)).ended;
      return { ...made, result: await wrapperResult(made.dir), log: await wrapperLog(made.dir) };
    },
    close: async () => {
      await engine.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** What a backend leaves for the wrapper of a running attempt, before it wakes it. */
export function requestStop(dir: string, graceSeconds = 1): Promise<void> {
  return writeFile(join(dir, 'stop-request.json'), JSON.stringify({ reason: 'cancel', graceSeconds }));
}
