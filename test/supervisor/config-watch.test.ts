import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import type { RunsDeps } from '../../src/runs/deps.ts';
import { readLease } from '../../src/store/lease.ts';
import { configWatch } from '../../src/supervisor/config-watch.ts';
import { type SuperviseContext, supervise } from '../../src/supervisor/supervise.ts';
import { superviseProject } from '../../src/supervisor/supervise-project.ts';
import { until } from '../integration/until.ts';
import { type PreparedProject, prepareRunsProject, type RunsProject } from '../support/runs-project.ts';

const SAME = 'goldfish.yaml asks for what is in use';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;
let stop: AbortController;

beforeAll(async () => {
  prepared = await prepareRunsProject({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open();
  id = project.runOf(prepared.first, 'one').id;
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await project.dispose();
});

function config(text: string): void {
  writeFileSync(join(project.root, 'goldfish.yaml'), `project_name: test\n${text}`);
}

function context(runsDeps: RunsDeps = project.deps): SuperviseContext {
  const { clock, db, goldfishVersion, layout, log } = project.deps;
  return { clock, db, goldfishVersion, layout, log, runtimeDir: join(project.root, 'runtime'), runsDeps };
}

describe('a changed goldfish.yaml', () => {
  it('is noticed, however often it is looked at', async () => {
    const changed = configWatch(project.deps);
    expect([changed(), changed()]).toEqual([false, false]);
    config('process: { max_parallel: 7 }\n');
    await until(changed, 'the change');
    expect(project.logged).toContain('goldfish.yaml has changed');
    config('');
    await until(() => !changed(), 'the change back');
  });

  it.each([
    ['only in its comments', '# a word\n', SAME],
    [
      'to one with problems',
      'slots: 0\n',
      'goldfish.yaml has changed and has problems; work goes on with what was read before',
    ],
    [
      'to one that is no YAML',
      '{',
      'goldfish.yaml has changed and has problems; work goes on with what was read before',
    ],
    [
      'to one that moves the state',
      'state_dir: elsewhere\n',
      'goldfish.yaml moves where things are kept; that needs a restart with nothing running',
    ],
  ])('is left alone where it changed %s', async (_, text, word) => {
    const changed = configWatch(project.deps);
    const said = () => project.logged.filter((line) => line.startsWith(word)).length;
    changed();
    await until(() => project.logged.includes(SAME), 'the first reading');
    const before = said();
    config(text);
    expect(changed()).toBe(false);
    await until(() => said() > before, 'the word in the log');
    expect(changed()).toBe(false);
  });

  it('needs not be changed where .env has what rented machines lacked', async () => {
    config(`gce:
  project_id: \${env:GOLDFISH_NOT_SET}
  zones: [us-central1-a]
  service_account: worker@my-gcp.iam.gserviceaccount.com
  artifact_registry: europe-docker.pkg.dev/my-gcp/images
storage: { gcs: { bucket: my-bucket } }
`);
    const loaded = await loadConfig({ root: project.root, environment: {} });
    expect(loaded.config.gce?.problem).toBe('gce.project_id names GOLDFISH_NOT_SET, which is not set');
    const changed = configWatch({ ...project.deps, ...loaded });
    changed();
    await until(() => project.logged.includes(SAME), 'the first reading');
    expect(changed()).toBe(false);
    writeFileSync(join(project.root, '.env'), 'GOLDFISH_NOT_SET=my-project\n', { mode: 0o600 });
    await until(changed, 'the value');
    expect(project.logged).toContain('rented machines lack no setting any more');
  });

  it('ends the work of a supervisor at a quiet moment, with the lease given back and the runs as they were', async () => {
    const running = supervise(context(), { signal: stop.signal });
    await until(() => project.run(id).state === 'launching', 'the launch');
    config('process: { max_parallel: 7 }\n');
    expect(await running).toBe('config_changed');
    expect(readLease(project.db).pid).toBeNull();
    expect(project.run(id).state).toBe('launching');
    expect(project.fake.launchCalls).toEqual([id]);
  });

  it('is what the same process goes on with', async () => {
    const opened: number[] = [];
    const closed: number[] = [];
    const open = async () => {
      const loaded = await loadConfig({ root: project.root, environment: {} });
      opened.push(loaded.config.process.maxParallel);
      const number = opened.length;
      const close = async (): Promise<void> => {
        closed.push(number);
      };
      return { ...context({ ...project.deps, ...loaded }), close };
    };
    const running = superviseProject(open, { signal: stop.signal, lingerMs: 0 });
    await until(() => project.run(id).state === 'launching', 'the launch');
    config('process: { max_parallel: 7 }\n');
    await until(() => opened.length === 2, 'the second opening');
    project.fake.end(id);
    expect(await running).toBe('idle');
    expect(opened[1]).toBe(7);
    expect(closed).toEqual([1, 2]);
    expect(project.run(id).cause).toBe('success');
    expect(project.fake.launchCalls).toEqual([id]);
  });
});
