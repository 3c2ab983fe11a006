import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { supervise } from '../../src/supervisor/supervise.ts';
import { until } from '../integration/until.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;
let stop: AbortController;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
});
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

function start(): Promise<string> {
  const { clock, db, goldfishVersion, layout, log } = project.deps;
  const runtimeDir = join(project.root, 'runtime');
  const context = { clock, db, goldfishVersion, layout, log, runtimeDir, runsDeps: project.deps };
  return supervise(context, { signal: stop.signal });
}

/** A newer program brings the schema up to date. */
function overtake(): void {
  const newer = new Database(project.deps.layout.database);
  newer.pragma('user_version = 999');
  newer.close();
}

describe('a supervisor that a newer program has overtaken', () => {
  it('ends, and changes nothing more', async () => {
    const running = start();
    await until(() => project.run(id).state === 'launching', 'the launch');
    overtake();
    const before = eventsOfRun(project.db, id).length;
    project.fake.end(id);
    expect(await running).toBe('lease_lost');
    expect(eventsOfRun(project.db, id)).toHaveLength(before);
  });

  it('ends without an error where it is stopped before it notices', async () => {
    cancelRuns(project.deps, { target: id, reason: 'Not needed any more' });
    const running = start();
    await until(() => project.run(id).state === 'canceled', 'a look');
    overtake();
    stop.abort();
    expect(await running).toBe('stopped');
  });
});
