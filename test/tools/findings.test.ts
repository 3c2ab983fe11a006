import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MonitorName } from '../../src/core/monitors.ts';
import { recordFinding } from '../../src/store/findings.ts';
import { findingCall } from '../../src/tools/finding-rows.ts';
import { ALL_TOOLS } from '../../src/tools/registry.ts';
import { estimateTokens } from '../../src/tools/tokens.ts';
import { createKit, type Kit } from '../config/effects/kit.ts';

const MONITORS: MonitorName[] = ['stall', 'non_finite', 'divergence'];

describe('the call that a warning leads to', () => {
  it.each(MONITORS)(
    'of the monitor %s is one its tool takes, whether the run goes on or has ended',
    (monitor) => {
      for (const state of ['running', 'completed'] as const) {
        const call = findingCall({ runId: 'stage-0123456789ab', monitor }, state);
        const tool = ALL_TOOLS.find(({ name }) => name === call.tool);
        expect(tool?.toolset).toBe('core');
        expect(tool?.prepare(call.arguments), JSON.stringify(call)).toHaveProperty('call');
        if (call.tool === 'cancel') {
          expect(state).toBe('running');
          expect(String(call.arguments['reason']).length).toBeGreaterThanOrEqual(15);
        }
      }
    },
  );
});

describe('a project with many warnings', () => {
  let kit: Kit;
  beforeEach(() => {
    kit = createKit();
  });
  afterEach(() => kit.dispose());

  it('has a status, an inspect_run and a wait that stay short', async () => {
    const ctx = await kit.open('defaults: { backend: process }\nprocess: { sandbox: none }\n');
    const { runs, pipelineRun } = await kit.submit(ctx);
    for (const { id } of runs) {
      for (let n = 10; n < 60; n += 1) {
        recordFinding(ctx.db, {
          runId: id,
          attempt: 1,
          monitor: 'divergence',
          metric: `m${n}`,
          action: 'warn',
          message: `The metric "${`m${n}`.repeat(15)}" diverges: 5 points in a row lie above 100.123 (best 10.0123 at step 10000, factor 10), the last is 1234.56 at step 20000.`,
          createdAt: `2026-01-01T00:00:${n}.000Z`,
        });
      }
    }
    const id = runs[0]?.id ?? '';
    const status = await kit.call(ctx, 'status', {});
    const messages = (status['attention'] as { message: string }[]).map(({ message }) => message).sort();
    expect(messages).toEqual([
      expect.stringMatching(/^exp: a pending, warning: The metric "m10m10.{97}…$/),
      expect.stringMatching(/^exp: b pending, warning: The metric "m10m10.{97}…$/),
    ]);
    expect(estimateTokens(JSON.stringify(status))).toBeLessThanOrEqual(700);
    const inspected = await kit.call(ctx, 'inspect_run', { run_id: id });
    expect(inspected['findings']).toHaveLength(10);
    expect(inspected).toMatchObject({ findings_omitted: 40 });
    expect(inspected['findings']).toContainEqual(expect.objectContaining({ metric: 'm10', attempt: 1 }));
    expect(estimateTokens(JSON.stringify(inspected))).toBeLessThanOrEqual(2_000);
    const waited = await kit.call(ctx, 'wait', { targets: [pipelineRun.id], timeout_seconds: 0 });
    expect(waited['attention']).toHaveLength(6);
    expect(waited).toMatchObject({ attention_omitted: 94 });
    expect(estimateTokens(JSON.stringify(waited))).toBeLessThanOrEqual(2_000);
    const listed = await kit.call(ctx, 'list_runs', {});
    expect(listed['runs']).toMatchObject([{ findings: 50 }, { findings: 50 }]);
  }, 60_000);
});
