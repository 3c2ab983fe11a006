import { afterEach, describe, expect, it } from 'vitest';
import { docker, hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { demoOn, endDemos, outputsOf } from './demo-projects.ts';

afterEach(() => endDemos());

describe.skipIf(!hasEngine)(`the demo on both local backends${NEEDS_ENGINE}`, () => {
  it('gives the same outputs, hash by hash, and the same metrics', { timeout: 240_000 }, async () => {
    const plain = await demoOn('process');
    const container = await demoOn('docker');
    expect(plain.runs).toHaveLength(8);
    expect(Object.keys(plain.runs[0]!.outputs)).not.toEqual([]);
    expect(outputsOf(container)).toEqual(outputsOf(plain));
    expect(container.metrics).toEqual(plain.metrics);
    const left = await docker.listContainers({ all: true, filters: { label: ['goldfish.run'] } });
    const mine = container.runs.map((run) => run.runId);
    expect(left.filter(({ Labels }) => mine.includes(Labels['goldfish.run'] ?? ''))).toEqual([]);
  });
});
