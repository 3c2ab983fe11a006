import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { goldfish, inner, openStage, refuses, type Stage } from './stage.ts';

const { loadCheckpoint, saveCheckpoint } = goldfish;
const { patience } = inner<{ patience: { anyMs: number; stopMs: number } }>('kept.js');
const USUAL = { ...patience };

let stage: Stage;
beforeEach(() => {
  stage = openStage();
});
afterEach(() => {
  Object.assign(patience, USUAL);
  stage.dispose();
});

const KEPT = { GOLDFISH_KEPT: 'wait' };
const folders = (): string[] => readdirSync(stage.checkpoints).sort();
const mark = (name: string): void => writeFileSync(join(stage.checkpoints, `.kept-${name}`), '');

/** Saves in another process, on a rented machine, and waits until the checkpoint is on the disk. */
async function saveBeside(options: string): Promise<{ saved: Promise<unknown>; isOver: () => boolean }> {
  let isOver = false;
  const program = `import { saveCheckpoint } from 'goldfish'; saveCheckpoint('state', { n: 2 }, ${options});`;
  const saved = stage.node(program, { environment: KEPT }).finally(() => {
    isOver = true;
  });
  await vi.waitUntil(() => folders().includes('00000002-state'), { timeout: 20_000, interval: 5 });
  return { saved, isOver: () => isOver };
}

describe('a stage checkpoint on a rented machine', { timeout: 60_000 }, () => {
  it('is saved when the bucket has it, and older ones are removed only then', async () => {
    saveCheckpoint('state', { n: 1 });
    mark('00000001-state');
    const { saved, isOver } = await saveBeside('{ keep: 1 }');
    expect(isOver()).toBe(false);
    expect(folders()).toEqual(['.kept-00000001-state', '00000001-state', '00000002-state']);
    mark('00000002-state');
    await saved;
    expect(folders()).toEqual(['.kept-00000002-state', '00000002-state']);
  });

  it('that was removed for a newer one is not waited for', async () => {
    saveCheckpoint('state', { n: 1 });
    const { saved } = await saveBeside('{}');
    rmSync(join(stage.checkpoints, '00000002-state'), { recursive: true });
    await saved;
    expect(folders()).toEqual(['00000001-state']);
  });

  it('is waited for within a limit, which is shorter where the run is to stop', () => {
    Object.assign(process.env, KEPT);
    patience.anyMs = 1_000;
    const rest = 'it is on this machine only, which goes on trying.';
    refuses(
      () => saveCheckpoint('state', { n: 1 }, { keep: 1 }),
      `Checkpoint state did not reach the bucket within 1 seconds: ${rest}`,
    );
    Object.assign(patience, USUAL, { stopMs: 100 });
    writeFileSync(join(stage.control, 'stop'), 'cancel\n');
    refuses(
      () => saveCheckpoint('state', { n: 1 }, { keep: 1 }),
      `Checkpoint state did not reach the bucket before the run was to stop: ${rest}`,
    );
    // What is not safe yet takes the place of nothing.
    expect(folders()).toEqual(['00000001-state', '00000002-state']);
    expect(loadCheckpoint()).toEqual({ n: 1 });
  });
});
