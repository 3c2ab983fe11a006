import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { admitRuns, missingSecrets, waitsFor } from '../../src/runs/admit.ts';
import { cacheKey } from '../../src/runs/cache-key.ts';
import { previewRun } from '../../src/runs/plan-preview.ts';
import { createRuns } from '../../src/runs/runs.ts';
import { metricSummaries } from '../../src/store/metrics.ts';
import { getStageRun } from '../../src/store/stage-runs.ts';
import { type PreparedProject, prepareRunsProject, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

/** Long and odd enough to be found wherever it should not be. */
const VALUE = 'hunter2-Zq8fT0wLxP-secret';

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareRunsProject({
    files: {
      'pipeline.yaml':
        'stages:\n  - name: one\n    outputs: { a: json }\n  - name: two\n    inputs: { a: { from_stage: one } }\n',
      'modules/one.py': 'pass\n',
      'modules/two.py': 'pass\n',
      'configs/one.yaml': `environment:\n  API_KEY: \${env:MY_KEY}\n  MODE: fast\n`,
    },
  });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
});
afterEach(() => project.dispose());

const one = () => project.runOf(prepared.first, 'one');

describe('a secret of a stage', () => {
  it('is in the plan by the name it has in the environment, beside plain values', () => {
    expect(one().plan).toMatchObject({ environment: { MODE: 'fast' }, secrets: { API_KEY: 'MY_KEY' } });
  });

  it('holds the run until its name has a value, which is looked for at every look', async () => {
    await project.tick();
    expect(one().state).toBe('pending');
    expect(waitsFor(project.deps, one())).toBe('environment MY_KEY');
    const runs = createRuns(project.deps, async () => undefined);
    expect(runs.inspect(one().id).blockedBy).toBe('environment MY_KEY');
    project.environment['MY_KEY'] = VALUE;
    await project.tick();
    expect(one().state).toBe('launching');
    expect(project.fake.launched[0]).toMatchObject({
      environment: { MODE: 'fast' },
      secrets: { API_KEY: VALUE },
    });
  });

  it('may come from .env, once others cannot read it', async () => {
    const file = join(project.root, '.env');
    writeFileSync(file, `MY_KEY='${VALUE}'\n`);
    chmodSync(file, 0o644);
    await project.tick();
    expect(one().state).toBe('pending');
    chmodSync(file, 0o600);
    await project.tick();
    expect(project.fake.launched[0]?.secrets).toEqual({ API_KEY: VALUE });
  });

  it('is as fresh as the launch', async () => {
    project.environment['MY_KEY'] = 'old';
    let release = (): void => undefined;
    project.fake.holdBuild = new Promise<void>((resolve) => {
      release = resolve;
    });
    await project.loop.tick();
    project.environment['MY_KEY'] = 'renewed';
    release();
    await project.loop.settled();
    expect(project.fake.launched[0]?.secrets).toEqual({ API_KEY: 'renewed' });
  });

  it('that a new supervisor has not got keeps a claimed run waiting for as long as it takes', async () => {
    project.environment['MY_KEY'] = VALUE;
    admitRuns(project.deps);
    delete project.environment['MY_KEY'];
    const { clock, config } = project.deps;
    const until = clock.monotonic() + 2 * config.defaults.launchTimeoutSeconds * 1000;
    while (clock.monotonic() < until) {
      await clock.sleep(5_000);
      await project.tick();
    }
    expect(one().state).toBe('preparing');
    project.environment['MY_KEY'] = VALUE;
    await project.tick();
    expect(one().state).toBe('launching');
  });

  it('that vanishes from a claimed run keeps it waiting where it is, and says so', async () => {
    project.environment['MY_KEY'] = VALUE;
    admitRuns(project.deps);
    delete project.environment['MY_KEY'];
    await project.tick();
    expect(one().state).toBe('preparing');
    expect(project.fake.launched).toEqual([]);
    expect(createRuns(project.deps, async () => undefined).inspect(one().id).blockedBy).toBe(
      'environment MY_KEY',
    );
    project.environment['MY_KEY'] = VALUE;
    await project.tick();
    expect(one().state).toBe('launching');
  });

  it('does not hold a run back that an earlier one can stand for', async () => {
    project.environment['MY_KEY'] = VALUE;
    await project.tick();
    await project.complete(one().id);
    delete project.environment['MY_KEY'];
    const again = await project.submit({ stages: ['one'] });
    expect(again.runs[0]).toMatchObject({ state: 'completed', cause: 'cached' });
  });

  it('decides results by its names, never by its value', () => {
    const { plan } = one();
    expect(cacheKey(plan, {})).toBe(cacheKey({ ...plan }, {}));
    expect(cacheKey({ ...plan, secrets: { API_KEY: 'OTHER_KEY' } }, {})).not.toBe(cacheKey(plan, {}));
    expect(cacheKey({ ...plan, secrets: {} }, {})).not.toBe(cacheKey(plan, {}));
  });

  it('is named where it is why a result is not reused, also against a plan without any', async () => {
    project.environment['MY_KEY'] = VALUE;
    await project.tick();
    await project.complete(one().id);
    const request = { workspace: 'exp', reason: 'A look before the run', useCache: true, stages: ['one'] };
    project.write('configs/one.yaml', 'environment: { MODE: fast }\n');
    const { stages } = await previewRun(project.deps, request);
    expect(stages[0]?.reason).toBe(`changed since ${one().id}: secrets`);
  });

  it('is in no file of the project and in no message, whatever happens to the run', async () => {
    project.environment['MY_KEY'] = VALUE;
    await project.tick();
    project.fake.end(one().id, { exitCode: 1 });
    await project.tick();
    expect(one().cause).toBe('exit_nonzero');
    project.db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
    const found = readdirSync(project.root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .filter((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(VALUE))
      .map((entry) => join(entry.parentPath, entry.name));
    expect(found).toEqual([]);
    expect(project.logged.join('\n')).not.toContain(VALUE);
  });

  it('is taken out of what the program says of its progress', async () => {
    project.environment['MY_KEY'] = VALUE;
    await project.tick();
    const { id } = one();
    const { control, metrics } = project.deps.layout.attempt(id, 1);
    mkdirSync(control, { recursive: true });
    writeFileSync(
      metrics,
      `${JSON.stringify({ progress: 0.5, message: `login with ${VALUE}` })}\n${JSON.stringify({ name: `loss.${VALUE}`, value: 1 })}\n`,
    );
    project.fake.set(id, 'running');
    await project.tick();
    expect(one()).toMatchObject({ progress: 0.5, progressMessage: 'login with ***' });
    expect(metricSummaries(project.db, id).map(({ name }) => name)).toEqual(['loss.***']);
  });

  it('is not asked of a plan that names none', () => {
    const run = project.runOf(prepared.first, 'two');
    expect(missingSecrets(project.deps, run)).toBeNull();
  });
});

describe('a plan that was stored before there were secrets and limits', () => {
  it('is read with none, and its stage keeps the network', () => {
    const { id, plan } = one();
    const { secrets: _, image: __, ...old } = plan;
    const { backend, profile, timeoutSeconds, stopGraceSeconds, memoryBytes } = plan.compute;
    const compute = { backend, profile, timeoutSeconds, stopGraceSeconds, memoryBytes };
    project.db
      .prepare('UPDATE stage_runs SET plan_json = ? WHERE id = ?')
      .run(JSON.stringify({ ...old, compute }), id);
    expect(getStageRun(project.db, id)?.plan).toMatchObject({
      secrets: {},
      image: null,
      compute: {
        nodes: 1,
        gpus: 0,
        network: true,
        cpus: null,
        pidsLimit: null,
        heartbeatTimeoutSeconds: null,
      },
    });
  });
});
