import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GceConfig } from '../../src/config/gce.ts';
import type { ServerContext } from '../../src/context.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemIds } from '../../src/core/ids.ts';
import { examine } from '../../src/doctor/checks.ts';
import { NOTHING_TO_TEND } from '../../src/runs/tending.ts';
import { recentAudit } from '../../src/store/audit.ts';
import { callTool } from '../../src/tools/call-tool.ts';
import { readingTools } from '../../src/tools/read-only.ts';
import { ALL_TOOLS } from '../../src/tools/registry.ts';
import { createSession } from '../../src/tools/session.ts';
import { estimateTokens } from '../../src/tools/tokens.ts';
import { createKit, type Kit } from '../config/effects/kit.ts';
import { begin, finish, giveJob, happen, poolTime, rent, workerOf } from '../support/pool-rows.ts';
import { createTestClock } from '../support/test-clock.ts';

const A = 'goldfish-aaaaaaaaaaaa';
const B = 'goldfish-bbbbbbbbbbbb';
const ONE = 'stage-000000000001';
const TWO = 'stage-000000000002';
const REASON = 'Nobody needs machines until Monday';
const KEYS =
  'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.';
const NONE = { launching: 0, busy: 0, draining: 0, idle_ready: 0, deleting: 0 };

const GCE: GceConfig = {
  projectId: 'a-project',
  zones: ['us-central1-a'],
  serviceAccount: 'default',
  network: 'default',
  subnetwork: null,
  externalAddress: true,
  artifactRegistry: '127.0.0.1:5000/goldfish',
  apiEndpoint: null,
  maxParallel: 4,
  profiles: {},
  warmPool: { enabled: true, maxInstances: 2, idleTimeoutSeconds: 300, profiles: null, watchdogSeconds: 300 },
};

let kit: Kit;
let clock: ReturnType<typeof createTestClock>;
let opened: ServerContext;
/** How often the supervisor was woken. */
let woken: number;

beforeEach(async () => {
  kit = createKit();
  clock = createTestClock();
  woken = 0;
  opened = await kit.open('defaults: { backend: process }\nprocess: { sandbox: none }\n', clock.clock);
});
afterEach(() => kit.dispose());

const to = (seconds: number): void => clock.jump(Date.parse(poolTime(seconds)) - clock.clock.now());

/** The project with machines, or with what is given. */
function withGce(gce: GceConfig | null = GCE): ServerContext {
  const ensureSupervisor = async (): Promise<void> => {
    woken += 1;
  };
  return { ...opened, config: { ...opened.config, gce }, ensureSupervisor };
}

function withPool(warmPool: Partial<GceConfig['warmPool']>): ServerContext {
  return withGce({ ...GCE, warmPool: { ...GCE.warmPool, ...warmPool } });
}

async function call(ctx: ServerContext, name: string, args: Record<string, unknown> = {}) {
  const session = createSession({
    startFolder: kit.root(),
    clock: systemClock,
    ids: systemIds,
    log: ctx.log,
    findProject: async () => kit.root(),
    openContext: async () => ctx,
  });
  const context = { signal: new AbortController().signal, progress: () => undefined, actor: 'test' };
  const result = await callTool(session, ALL_TOOLS, { name, arguments: args }, context);
  const { structuredContent: structured, content } = result;
  // Columns are as wide as what stands in them.
  return { structured, text: (content[0]?.text ?? '').replaceAll(/ {2,}/g, '  ') };
}

/** One run on a new machine, the next one on the same. */
function coldAndWarm(id: string): void {
  rent(opened.db, id, { runId: ONE });
  begin(opened.db, id, 90);
  finish(opened.db, id, 190);
  giveJob(opened.db, id, { runId: TWO, at: 2000 });
  begin(opened.db, id, 2010);
}

describe('warm_pool_status', () => {
  it('says without a section gce that there are no machines, and what to set', async () => {
    const why = `goldfish.yaml has no section "gce": no machine is rented. ${KEYS}`;
    expect(await call(withGce(null), 'warm_pool_status')).toEqual({
      structured: {
        schema_version: 1,
        enabled: false,
        why,
        limits: null,
        counts: NONE,
        workers: [],
        starts: 0,
        warm_starts: 0,
        hit_rate: null,
        seconds_saved: null,
        money_saved: null,
        machines: 0,
        cost: 0,
        errors: [],
      },
      text: `${why}\nThere is no machine now.`,
    });
  });

  it('warns where the section is gone and its machines are not', async () => {
    rent(opened.db, A, { runId: ONE });
    const { structured } = await call(withGce(null), 'warm_pool_status');
    expect(structured).toMatchObject({
      enabled: false,
      why: 'goldfish.yaml has no section "gce" any more: nobody here gives these machines back. Put it back, or delete them where they are rented.',
      workers: [{ worker: A, state: 'launching' }],
    });
  });

  it('shows limits, machines, what they cost and what was saved', async () => {
    coldAndWarm(A);
    to(3600);
    expect(await call(withGce(), 'warm_pool_status')).toEqual({
      structured: {
        schema_version: 1,
        enabled: true,
        why: null,
        limits: { max_instances: 2, idle_timeout_seconds: 300, profiles: null },
        counts: { ...NONE, busy: 1 },
        workers: [
          {
            worker: A,
            state: 'busy',
            state_since: poolTime(2000),
            profile: 'cpu-small',
            zone: 'us-central1-a',
            model: 'spot',
            pooled: true,
            run_id: TWO,
            attempt: 1,
            age_seconds: 3600,
            price_per_hour: 0.36,
            cost: 0.36,
            heard_seconds_ago: null,
            images: null,
            driver: null,
            end_reason: null,
          },
        ],
        starts: 2,
        warm_starts: 1,
        hit_rate: 0.5,
        seconds_saved: 80,
        money_saved: 0.008,
        machines: 1,
        cost: 0.36,
        errors: [],
      },
      text: [
        'Kept for the next run: up to 2 machines, each for 300 s without work.',
        'Machines: 1 busy.',
        'worker  state  profile  zone  model  run  age  cost',
        `${A}  busy  cpu-small  us-central1-a  spot  ${TWO}  3600 s  0.36`,
        '1 of 2 starts found a machine that was there already, which saved about 80 s and 0.008 at their prices.',
        '1 machine rented in all, for about 0.36.',
      ].join('\n'),
    });
  });

  it('says that nobody looks after machines, why, and what to do; so does the status', async () => {
    const message =
      'Nobody looks after rented machines: X, which is not set where the supervisor was started.';
    const hint = 'Run "goldfish supervisor" where it is set right: it takes over.';
    const tending = { ...NOTHING_TO_TEND, neglect: async () => ({ message, hint }) };
    const ctx = { ...withGce(), backends: { ...opened.backends, tending } };
    const { structured, text } = await call(ctx, 'warm_pool_status');
    expect(structured['errors']).toEqual([{ component: 'supervisor', message: `${message} ${hint}` }]);
    expect(text.split('\n').at(-1)).toBe(`${message} ${hint}`);
    expect((await call(ctx, 'status')).structured['attention']).toEqual([
      { message, call: { tool: 'warm_pool_status', arguments: {} } },
    ]);
    expect((await examine(ctx)).filter(({ component }) => component === 'supervisor')).toEqual([
      { component: 'supervisor', state: 'broken', detail: message, fix: hint },
    ]);
  });

  it('shows how many images a machine holds and its driver, as it told last', async () => {
    coldAndWarm(A);
    const told = { schema: 1, worker: A, boot: 1, phase: 'working', number: 2, job: 'claimed', leaves: null };
    const held = { publicKey: null, images: ['sha256:a', 'sha256:b'], driver: '550.54.15', at: '' };
    happen(opened.db, A, { sighting: { letter: { generation: '1', content: { ...told, ...held } } } }, 2020);
    to(2030);
    const { structured, text } = await call(withGce(), 'warm_pool_status');
    expect(structured).toMatchObject({
      workers: [{ images: 2, driver: '550.54.15', heard_seconds_ago: 10 }],
    });
    expect(text).toMatch(/ cost {2}images {2}driver\n.* {2}2 {2}550\.54\.15\n/);
  });

  it('names no money where no price is known', async () => {
    rent(opened.db, A, { runId: ONE, pricePerHour: null });
    begin(opened.db, A, 90);
    const { text } = await call(withGce(), 'warm_pool_status');
    expect(text).toContain('0 of 1 start found a machine that was there already.\n1 machine rented in all.');
  });

  it.each<[string, Partial<GceConfig['warmPool']>]>([
    ['enabled is false', { enabled: false }],
    ['max_instances is 0', { maxInstances: 0 }],
    ['idle_timeout_minutes is 0', { idleTimeoutSeconds: 0 }],
    ['profiles names none', { profiles: [] }],
  ])('names the key that keeps every machine from being kept: %s', async (key, warmPool) => {
    const { structured, text } = await call(withPool(warmPool), 'warm_pool_status');
    const why = `gce.warm_pool.${key}: each machine is given back after its run.`;
    expect(structured).toMatchObject({ enabled: false, why, limits: { max_instances: expect.any(Number) } });
    expect(text).toBe(`${why}\nThere is no machine now.`);
  });

  it('says which profiles are meant', async () => {
    const { text } = await call(withPool({ maxInstances: 1, profiles: ['cpu-small'] }), 'warm_pool_status');
    expect(text).toContain('up to 1 machine of cpu-small, each for 300 s');
  });

  it('stays short with a hundred machines, and counts those that it leaves out', async () => {
    for (let n = 100; n < 200; n += 1) rent(opened.db, `goldfish-000000000${n}`, { runId: `stage-${n}` });
    const { structured } = await call(withGce(), 'warm_pool_status');
    expect(estimateTokens(JSON.stringify(structured))).toBeLessThanOrEqual(1_900);
    const { workers, workers_omitted: omitted, counts } = structured;
    expect((workers as unknown[]).length + Number(omitted)).toBe(100);
    expect(counts).toMatchObject({ launching: 100 });
    expect(structured).not.toHaveProperty('note');
  });
});

describe('warm_pool_cleanup', () => {
  beforeEach(() => {
    rent(opened.db, A, { runId: ONE });
    begin(opened.db, A, 90);
    finish(opened.db, A, 190);
    rent(opened.db, B, { runId: TWO });
    begin(opened.db, B, 90);
  });

  it('marks what has no work, wakes the supervisor and writes why', async () => {
    expect(await call(withGce(), 'warm_pool_cleanup', { reason: REASON })).toEqual({
      structured: {
        deleted: [],
        pending: [A],
        remaining: [{ worker: B, state: 'busy', run_id: TWO }],
        next: { tool: 'warm_pool_status', arguments: {} },
      },
      text: `Being deleted: ${A}.\n${B} stays: busy, ${TWO}.\nnext: warm_pool_status {}`,
    });
    expect(workerOf(opened.db, A)).toMatchObject({ state: 'deleting', endReason: 'cleanup' });
    expect(woken).toBe(1);
    expect(recentAudit(opened.db, 1)).toMatchObject([
      { operation: 'warm_pool_cleanup', outcome: 'ok', reason: REASON, workspace: null },
    ]);
  });

  it('stands also where the supervisor cannot be woken', async () => {
    const ctx = { ...withGce(), ensureSupervisor: () => Promise.reject(new Error('not now')) };
    const { structured } = await call(ctx, 'warm_pool_cleanup', { reason: REASON, worker: A });
    expect(structured).toMatchObject({ pending: [A] });
  });

  it('says where there is nothing to give back', async () => {
    const ctx = withGce();
    giveJob(opened.db, A, { runId: 'stage-000000000003', at: 200 });
    const { text } = await call(ctx, 'warm_pool_cleanup', { reason: REASON });
    expect(text).toMatch(/^There is no machine without work\.\n/);
  });

  it('refuses a machine with work, and offers the call that ends it', async () => {
    const { structured } = await call(withGce(), 'warm_pool_cleanup', { reason: REASON, worker: B });
    expect(structured).toMatchObject({ error: { code: 'CONFLICT', fix: { tool: 'cancel' } } });
    const { fix } = structured['error'] as { fix: { arguments: unknown } };
    expect(ALL_TOOLS.find(({ name }) => name === 'cancel')?.prepare(fix.arguments)).toHaveProperty('call');
    expect([workerOf(opened.db, B).state, woken]).toEqual(['busy', 0]);
    expect(recentAudit(opened.db, 1)).toMatchObject([{ outcome: 'CONFLICT' }]);
  });

  it('is refused without a section gce, with what to set, and changes nothing', async () => {
    const { structured } = await call(withGce(null), 'warm_pool_cleanup', { reason: REASON });
    expect(structured).toEqual({
      error: {
        code: 'BACKEND_UNAVAILABLE',
        message: 'The backend "gce" is not configured.',
        details: { backend: 'gce' },
        hint: KEYS,
      },
    });
    expect([workerOf(opened.db, A).state, woken]).toEqual(['idle_ready', 0]);
  });

  it('wants a reason that says something', async () => {
    const { structured } = await call(withGce(), 'warm_pool_cleanup', { reason: 'because' });
    expect(structured).toMatchObject({ error: { code: 'REASON_TOO_SHORT' } });
    expect(workerOf(opened.db, A).state).toBe('idle_ready');
  });

  it('is not offered by a read-only server, and the status is', () => {
    const names = readingTools(ALL_TOOLS).map(({ name }) => name);
    expect(names).toContain('warm_pool_status');
    expect(names).not.toContain('warm_pool_cleanup');
  });
});

describe('status', () => {
  const attention = async (ctx: ServerContext) => (await call(ctx, 'status')).structured['attention'];
  const giveBack = { reason: 'Give back what is paid for without work' };
  const look = { tool: 'warm_pool_status', arguments: {} };

  it('warns of a machine without work five minutes after the idle timeout, with the call that gives it back', async () => {
    rent(opened.db, A, { runId: ONE });
    begin(opened.db, A, 90);
    finish(opened.db, A, 200);
    to(799);
    expect(await attention(withGce())).toEqual([]);
    to(800);
    const message = `rented machines without work, and paid for (10 min): ${A}`;
    const args = { ...giveBack, worker: A };
    expect(await attention(withGce())).toEqual([
      { message, call: { tool: 'warm_pool_cleanup', arguments: args } },
    ]);
    const { structured } = await call(withGce(), 'warm_pool_cleanup', args);
    expect(structured).toMatchObject({ pending: [A] });
  });

  it('names some of many in one line, for which one call is enough', async () => {
    for (const n of [1, 2, 3, 4, 5]) {
      rent(opened.db, `goldfish-${n}`, { runId: `stage-${n}` });
      begin(opened.db, `goldfish-${n}`, 90);
      finish(opened.db, `goldfish-${n}`, 100 + n);
    }
    to(3600);
    expect(await attention(withGce())).toEqual([
      {
        message:
          'rented machines without work, and paid for (58 min): goldfish-1, goldfish-2, goldfish-3 and 2 more',
        call: { tool: 'warm_pool_cleanup', arguments: giveBack },
      },
    ]);
  });

  it('warns of them also where the section gce was taken away, and then only shows them', async () => {
    rent(opened.db, A, { runId: ONE });
    begin(opened.db, A, 90);
    finish(opened.db, A, 200);
    to(500);
    expect(await attention(withGce(null))).toEqual([
      { message: `rented machines without work, and paid for (5 min): ${A}`, call: look },
    ]);
  });

  it('warns of a machine that is still there ten minutes after it was to be deleted', async () => {
    rent(opened.db, A, { runId: ONE });
    begin(opened.db, A, 90);
    happen(opened.db, A, { event: 'delete', reason: 'silent' }, 1000);
    to(1599);
    expect(await attention(withGce())).toEqual([]);
    to(1600);
    expect(await attention(withGce())).toEqual([
      { message: `rented machines to be deleted, and still there (10 min): ${A}`, call: look },
    ]);
  });

  it('does not warn of a machine that works', async () => {
    coldAndWarm(A);
    to(86_400);
    expect(await attention(withGce())).toEqual([]);
  });
});
