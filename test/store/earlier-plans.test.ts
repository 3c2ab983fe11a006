import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cacheKey, inputIdentity } from '../../src/runs/cache-key.ts';
import { openDatabase } from '../../src/store/database.ts';
import { inputsOfRun } from '../../src/store/signals.ts';
import { listStageRuns } from '../../src/store/stage-runs.ts';
import { EARLIER_SCHEMAS, makeEarlierDatabase } from '../support/earlier-project.ts';

describe.each(EARLIER_SCHEMAS)('the plans of schema %i', (schema) => {
  it('have the cache keys they had, so that what earlier versions computed is still reused', () => {
    const folder = mkdtempSync(join(tmpdir(), 'goldfish-plans-'));
    const file = join(folder, 'goldfish.db');
    makeEarlierDatabase(file, { schema });
    const db = openDatabase(file, { create: false });
    try {
      const ended = listStageRuns(db, { limit: 100 }).filter((run) => run.cacheKey !== null);
      expect(ended.length).toBeGreaterThanOrEqual(3);
      for (const run of ended) {
        const inputs = inputsOfRun(db, run.id).map(({ name, type, hash }) => {
          return [name, inputIdentity({ type, hash: hash ?? '' })] as const;
        });
        // The type of an input did not count then, which reused what it must not.
        if (schema < 3 && inputs.length > 0) continue;
        expect(cacheKey(run.plan, Object.fromEntries(inputs)), run.stage).toBe(run.cacheKey);
      }
    } finally {
      db.close();
      rmSync(folder, { recursive: true });
    }
  });
});
