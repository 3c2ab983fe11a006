import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServerContext } from '../../src/context.ts';
import { recordAttempt } from '../../src/store/attempts.ts';
import { createKit, type Kit } from '../config/effects/kit.ts';
import { begin, finish, giveJob, rent } from '../support/pool-rows.ts';

const A = 'goldfish-aaaaaaaaaaaa';

let kit: Kit;
let ctx: ServerContext;
let cold: string;
let warm: string;

/** Two runs on one machine: it was rented for the first. */
beforeEach(async () => {
  kit = createKit();
  ctx = await kit.open('defaults: { backend: process }\nprocess: { sandbox: none }\n');
  const { runs } = await kit.submit(ctx);
  [cold, warm] = [runs[0]?.id ?? '', runs[1]?.id ?? ''];
});
afterEach(() => kit.dispose());

function onOneMachine(): void {
  rent(ctx.db, A, { runId: cold });
  begin(ctx.db, A, 90);
  finish(ctx.db, A, 190);
  giveJob(ctx.db, A, { runId: warm, at: 300 });
  begin(ctx.db, A, 310);
}

describe('inspect_run of a run on a rented machine', () => {
  it('says whether the machine was there already, and of each attempt which it was', async () => {
    onOneMachine();
    for (const runId of [cold, warm]) recordAttempt(ctx.db, { runId, attempt: 1, externalId: 'any' });
    const machine = { worker: A, zone: 'us-central1-a', model: 'spot' };
    const first = await kit.call(ctx, 'inspect_run', { run_id: cold, include: ['attempts'] });
    expect(first).toMatchObject({
      warm: false,
      attempts: [{ attempt: 1, machine: { ...machine, warm: false, saved_seconds: null } }],
    });
    expect(first).not.toHaveProperty('saved_seconds');
    expect(await kit.call(ctx, 'inspect_run', { run_id: warm, include: ['attempts'] })).toMatchObject({
      warm: true,
      saved_seconds: 80,
      attempts: [{ attempt: 1, machine: { ...machine, warm: true, saved_seconds: 80 } }],
    });
  });

  it('says nothing of machines where there is none', async () => {
    recordAttempt(ctx.db, { runId: cold, attempt: 1, externalId: 'any' });
    const answer = await kit.call(ctx, 'inspect_run', { run_id: cold, include: ['attempts'] });
    expect(answer).not.toHaveProperty('warm');
    expect((answer['attempts'] as object[])[0]).not.toHaveProperty('machine');
  });
});

describe('run', () => {
  const again = { workspace: 'exp', reason: 'See what a setting does' };

  it('that waited says of each of its runs whether its machine was there already', async () => {
    onOneMachine();
    const answer = await kit.call(ctx, 'run', { ...again, wait_seconds: 0.1 });
    expect(answer).toMatchObject({
      deduplicated: true,
      runs: [
        { run_id: cold, warm: false },
        { run_id: warm, warm: true, saved_seconds: 80 },
      ],
    });
  });

  it('says nothing of machines where nobody waited, or there is none', async () => {
    const waited = await kit.call(ctx, 'run', { ...again, wait_seconds: 0.1 });
    onOneMachine();
    const at = await kit.call(ctx, 'run', again);
    for (const { runs } of [waited, at] as { runs: object[] }[]) {
      expect(runs).toHaveLength(2);
      for (const row of runs) expect(row).not.toHaveProperty('warm');
    }
  });
});
