import { mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadConfig } from '../../src/config/load-config.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemIds } from '../../src/core/ids.ts';
import { projectLayout } from '../../src/core/layout.ts';
import type { SourceDeps } from '../../src/data/register-source.ts';
import { createLocalStorage } from '../../src/storage/local/local-storage.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { createTestClock } from '../support/test-clock.ts';

/** A store, an object storage and a data root, without versions and runs; the clock is the test's. */
export type DataProject = {
  root: string;
  /** A folder outside the project that sources may come from. */
  dataRoot: string;
  deps: SourceDeps;
  db: Db;
  clock: ReturnType<typeof createTestClock>;
  /** Writes a file and answers its absolute path; relative ones lie in the project. */
  write(path: string, content: string | Uint8Array): string;
  dispose(): Promise<void>;
};

export async function createDataProject(
  options: { config?: string; clock?: Clock } = {},
): Promise<DataProject> {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'goldfish-data-')));
  const root = join(base, 'project');
  const dataRoot = join(base, 'datasets');
  for (const folder of [root, dataRoot]) mkdirSync(folder);
  writeFileSync(
    join(root, 'goldfish.yaml'),
    options.config ??
      'project_name: test\ndata_roots: [../datasets]\nstorage: { keep: { min_free_gb: 0 } }\n',
  );
  const { config } = await loadConfig({ root });
  const layout = projectLayout(root);
  mkdirSync(layout.stateDir);
  const db = openDatabase(layout.database, { create: true });
  db.prepare('PRAGMA synchronous = OFF').run();
  const clock = createTestClock();
  const own = options.clock ?? clock.clock;
  const storage = createLocalStorage({ dir: layout.objects, clock: own });
  return {
    root,
    dataRoot,
    deps: { db, clock: own, ids: systemIds, layout, config, storage },
    db,
    clock,
    write: (path, content) => {
      const full = path.startsWith('/') ? path : join(root, path);
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(full, content);
      return full;
    },
    dispose: async () => {
      db.close();
      await rm(base, { recursive: true, force: true });
    },
  };
}
