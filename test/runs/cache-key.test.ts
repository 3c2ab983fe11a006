import { describe, expect, it } from 'vitest';
import type { StagePlan } from '../../src/core/stage-plan.ts';
import { cacheKey, explainDifference, inputIdentity } from '../../src/runs/cache-key.ts';

const plan: StagePlan = {
  stage: 'train',
  command: ['python', 'modules/train.py'],
  config: { k: 1 },
  compute: {
    backend: 'process',
    profile: 'default',
    nodes: 1,
    timeoutSeconds: 60,
    stopGraceSeconds: 10,
    memoryBytes: null,
    cpus: null,
    gpus: 0,
    pidsLimit: null,
    network: true,
    heartbeatTimeoutSeconds: null,
  },
  environment: {},
  secrets: {},
  image: null,
  inputs: [],
  outputs: [{ name: 'model', type: 'json' }],
  needs: [],
  cache: true,
  codeHash: 'sha256:code',
  environmentKey: 'sha256:environment',
};
const withCompute = (changed: Partial<StagePlan['compute']>): StagePlan => ({
  ...plan,
  compute: { ...plan.compute, ...changed },
});
const features = (type: 'csv' | 'json') => ({ features: inputIdentity({ type, hash: 'sha256:same' }) });

describe('the cache key', () => {
  it('is the same however fast a stage may be', () => {
    const faster = withCompute({ backend: 'docker', memoryBytes: 1, cpus: 8, timeoutSeconds: 1, gpus: 2 });
    expect(cacheKey(faster, {})).toBe(cacheKey(plan, {}));
  });

  it('differs in the number of ranks, which the program sees', () => {
    const ranks = withCompute({ nodes: 4 });
    expect(cacheKey(ranks, {})).not.toBe(cacheKey(plan, {}));
    expect(explainDifference({ plan: ranks, inputs: {} }, { plan, inputs: {} })).toEqual(['nodes']);
  });

  it('differs in the type of an input of the same bytes, and says which', () => {
    expect(cacheKey(plan, features('csv'))).not.toBe(cacheKey(plan, features('json')));
    expect(explainDifference({ plan, inputs: features('csv') }, { plan, inputs: features('json') })).toEqual([
      'inputs (features)',
    ]);
  });
});
