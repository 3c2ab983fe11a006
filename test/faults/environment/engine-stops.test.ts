import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { getStageRun } from '../../../src/store/stage-runs.ts';
import { until } from '../../integration/until.ts';
import { readTold, tellingPipeline } from '../kit/executions.ts';
import { Refused } from '../kit/fault-project.ts';
import { leftovers } from '../kit/leftovers.ts';
import { LONG } from '../kit/outcome.ts';
import { createTally, type Tally } from '../kit/tally.ts';
import { judgeRun } from '../kit/verdict.ts';
import { canHaveEngine, createOwnEngine, type OwnEngine } from './own-engine.ts';
import { createStageProject, hasEngine, type Stage, type StageProject } from './stage-project.ts';

const canRun = canHaveEngine && hasEngine;
const NEEDS = canRun ? '' : ' (needs root and dockerd: node scripts/setup.ts)';
const BOXED = LONG ? 6 : 3;
/** Where a container finds what lies among the checkpoints of its run. */
const GATE = '/mnt/checkpoints/gate';

function telling(name: string): Stage {
  const code = tellingPipeline([name], { chained: false })[`modules/${name}.py`] ?? '';
  return { code, outputs: 'left: file, right: file' };
}

const boxed = Array.from({ length: BOXED }, (_, n) => `boxed${n + 1}`);
const stages: Record<string, Stage> = {
  ...Object.fromEntries(
    boxed.map((name) => [name, { ...telling(name), retries: 1, config: `gate: ${GATE}` }]),
  ),
  // It goes on beside them, and another one is begun while the engine is away.
  plain: { ...telling('plain'), backend: 'process' },
};

describe.skipIf(!canRun)(`a container engine that goes away under work${NEEDS}`, () => {
  // One way is enough for every change; both take minutes on a busy machine.
  const ways = [
    ['is stopped', 'SIGTERM'],
    ['is killed', 'SIGKILL'],
  ] as const;
  it.each(ways.slice(0, LONG ? 2 : 1))(
    '%s: its runs are lost, start anew once it is back, and end right; the others go on',
    async (how, signal) => {
      const engine = await createOwnEngine();
      let world: StageProject | undefined;
      try {
        world = await createStageProject({ backend: 'docker', stages, host: `unix://${engine.socket}` });
        const tally = createTally();
        await breakUnder({ world, engine, signal, tally });
        tally.state({
          fault: `container engine ${how} and started again under ${BOXED} running containers`,
          backend: 'docker',
        });
      } finally {
        await world?.close();
        await engine.dispose();
      }
    },
  );
});

/** A fresh engine on a busy machine may not answer a probe in time: the refusal says that a call may be repeated. */
async function runOnceItAnswers(world: StageProject): Promise<Record<string, string>> {
  let runs: Record<string, string> = {};
  const isTaken = async (): Promise<boolean> => {
    try {
      runs = await world.run(boxed);
      return true;
    } catch (error) {
      if (error instanceof Refused && error.retryable) return false;
      throw error;
    }
  };
  await until(isTaken, 'an engine that answers in time', 60);
  return runs;
}

type Broken = { world: StageProject; engine: OwnEngine; signal: 'SIGTERM' | 'SIGKILL'; tally: Tally };

async function breakUnder({ world, engine, signal, tally }: Broken): Promise<void> {
  const { project } = world;
  const runs = await runOnceItAnswers(world);
  const begun = (): number => readTold(project).filter(({ word }) => word === 'begin').length;
  await until(() => begun() === BOXED, 'the begin of all programs', 120);
  await engine.stop(signal);
  const { plain = '' } = await world.run(['plain']);
  const beside = await world.over(plain);
  tally.count('goes-on', beside['cause'] === 'success' ? undefined : `beside: ${JSON.stringify(beside)}`);
  for (const id of Object.values(runs)) {
    writeFileSync(join(project.layout.run(id), 'checkpoints', 'gate'), '');
  }
  await engine.start();
  for (const id of Object.values(runs)) await world.over(id, 150);
  await world.server.close();
  await project.endPrograms('SIGTERM');

  const told = readTold(project);
  const expected = { cause: 'success', causesBefore: ['worker_lost'], batch: 0 } as const;
  for (const id of Object.values(runs)) {
    const run = getStageRun(project.db, id);
    if (run === undefined) throw new Error(`no run ${id}`);
    const broken = judgeRun({ project, told }, run, expected);
    for (const promise of ['right-end', 'once', 'outputs'] as const) tally.count(promise, broken[promise]);
  }
  const left = await leftovers({ ...project.place(), engineSocket: engine.socket });
  tally.count('no-leftovers', left.length === 0 ? undefined : left.join('; '));
  expect(told.length).toBeGreaterThanOrEqual(2 * BOXED);
}
