import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerFacts } from '../../../src/backends/docker/engine.ts';
import { sweep, sweepNowAndThen } from '../../../src/backends/docker/sweep.ts';
import { bootId, currentProcess, processStart } from '../../../src/os/process-identity.ts';
import { createTestClock } from '../../support/test-clock.ts';
import { type DockerProject, engineWith, openDockerProject, RUN, refusal } from './docker-project.ts';

let project: DockerProject;
beforeEach(async () => {
  project = await openDockerProject();
});
afterEach(() => project.close());

const NOW = Date.parse('2026-01-01T12:00:00.000Z');
const YOUNG_MS = 60_000;
const OLD_MS = 60 * 60_000;

function container(Id: string, ageMs: number, change: Partial<ContainerFacts> = {}): ContainerFacts {
  const Labels = { 'goldfish.project': 'p', 'goldfish.run': RUN.runId, 'goldfish.attempt': '1' };
  return { Id, Labels, State: 'created', Created: Math.floor((NOW - ageMs) / 1000), ...change };
}

const trial = (Id: string, ageMs: number, State: string): ContainerFacts =>
  container(Id, ageMs, { Labels: { 'goldfish.project': 'p' }, State });

async function leftOf(
  containers: readonly ContainerFacts[],
  remove?: Parameters<typeof engineWith>[1],
): Promise<string[]> {
  const { engine, left } = engineWith(containers, remove);
  await sweep(project.deps(engine, { clock: createTestClock(NOW).clock }));
  return left();
}

const wrapperFile = (pid: number): string =>
  JSON.stringify({ pid, start: `${processStart(pid)}`, bootId: bootId(), startedAt: null });

describe('a sweep', () => {
  it('removes the container of an attempt whose run wrapper is dead, however young', async () => {
    await project.write(RUN, 'started', '');
    const dead = { ...JSON.parse(wrapperFile(process.pid)), start: '1' };
    await project.write(RUN, 'wrapper.json', JSON.stringify(dead));
    expect(await leftOf([container('of the dead', YOUNG_MS, { State: 'running' })])).toEqual([]);
  });

  it('leaves the container of a run wrapper that lives, however old', async () => {
    await project.write(RUN, 'started', '');
    await project.write(RUN, 'wrapper.json', wrapperFile(process.pid));
    expect(await leftOf([container('of the living', OLD_MS, { State: 'running' })])).toEqual([
      'of the living',
    ]);
  });

  it('leaves a run that is just starting: taken, but its wrapper has not said who it is', async () => {
    await project.write(RUN, 'started', '');
    expect(await leftOf([container('starting', YOUNG_MS)])).toEqual(['starting']);
    expect(await leftOf([container('never said', OLD_MS)])).toEqual([]);
  });

  it('leaves what no wrapper has taken yet, until it is old', async () => {
    await project.write(RUN, 'spec.json', '');
    expect(await leftOf([container('being launched', YOUNG_MS)])).toEqual(['being launched']);
    expect(await leftOf([container('never taken', OLD_MS)])).toEqual([]);
  });

  it('leaves a trial to whoever waits for it, until it is old, whatever its state', async () => {
    for (const state of ['created', 'running', 'exited', 'dead']) {
      expect(await leftOf([trial('of another build', YOUNG_MS, state)])).toEqual(['of another build']);
      expect(await leftOf([trial('of a killed build', OLD_MS, state)])).toEqual([]);
    }
  });

  it('removes a trial whose maker is dead, however young, and none of a maker that lives and is known', async () => {
    const madeBy = (Id: string, maker: object): ContainerFacts =>
      container(Id, YOUNG_MS, {
        Labels: { 'goldfish.project': 'p', 'goldfish.maker': JSON.stringify(maker) },
        State: 'exited',
      });
    const living = currentProcess();
    expect(await leftOf([madeBy('dead', { ...living, start: '1' }), madeBy('living', living)])).toEqual([
      'living',
    ]);
    expect(await leftOf([madeBy('of a word that is none', { pid: 'x' })])).toEqual([
      'of a word that is none',
    ]);
  });

  it('removes the container of a run whose folder is gone, and none of another project', async () => {
    const other = container('other', OLD_MS, { Labels: { 'goldfish.project': 'q' } });
    expect(await leftOf([container('of nobody', YOUNG_MS), other])).toEqual(['other']);
  });

  it('goes on where one container cannot be removed', async () => {
    const left = await leftOf([container('busy', OLD_MS), container('next', OLD_MS)], (id) => {
      if (id === 'busy') throw refusal(500, 'device or resource busy');
    });
    expect(left).toEqual(['busy']);
  });
});

it('is repeated after some minutes, and at once where the engine could not be asked', async () => {
  const time = createTestClock(NOW);
  let asked = 0;
  let works = false;
  const { engine } = engineWith([]);
  const listContainers: typeof engine.listContainers = async (options) => {
    asked += 1;
    if (!works) throw new Error('gone');
    return engine.listContainers(options);
  };
  const again = sweepNowAndThen(project.deps({ ...engine, listContainers }, { clock: time.clock }));
  await again();
  works = true;
  await again();
  await again();
  expect(asked).toBe(2);
  time.advance(OLD_MS);
  await again();
  expect(asked).toBe(3);
});
