import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { HAS_BUBBLEWRAP, NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';
import { createTestProject, mountStages, type TestProject, waitOver } from '../support/project.ts';

const EXAMPLE = assetPath('examples/three-languages');

type Row = { run_id: string; stage: string; state: string };
type Details = {
  outputs: { name: string; hash: string }[];
  metrics: Record<string, { last: number }>;
};

for (const mode of ['none', 'bubblewrap'] as const) {
  const title = mode === 'none' ? 'without a sandbox' : `in bubblewrap${NEEDS_BUBBLEWRAP}`;
  describe.skipIf(mode === 'bubblewrap' && !HAS_BUBBLEWRAP)(`the example in three languages ${title}`, () => {
    let project: TestProject;
    beforeEach(() => {
      project = createTestProject({
        config: `process: { sandbox: ${mode} }\ndefaults: { backend: process }\n`,
      });
    });
    afterEach(() => project.dispose());

    it('completes, and runs only its last stage again where only that one’s config changed', {
      timeout: 240_000,
    }, async () => {
      const { client, slot, workspace } = await mountStages(project, { pipeline: '', modules: {} });
      const files = join(project.root, slot);
      for (const name of readdirSync(files)) rmSync(join(files, name), { recursive: true });
      cpSync(EXAMPLE, files, { recursive: true });
      const execute = async (config_override: object): Promise<Map<string, Row & Details>> => {
        const reason = 'See three languages work together';
        const submitted = await client.call('run', { workspace, reason, config_override });
        const id = String(submitted['pipeline_run_id']);
        await waitOver(client, id);
        const { runs } = (await client.call('list_runs', { pipeline_run_id: id })) as { runs: Row[] };
        const details = runs.map(async (row) => {
          const more = await client.call('inspect_run', {
            run_id: row.run_id,
            include: ['outputs', 'metrics'],
          });
          return [row.stage, { ...row, ...(more as Details) }] as const;
        });
        return new Map(await Promise.all(details));
      };
      const report = (runs: Map<string, Row & Details>): unknown => {
        const hex = runs.get('judge')?.outputs[0]?.hash.slice('sha256:'.length) ?? '';
        const object = join(project.root, '.goldfish', 'objects', 'sha256', hex.slice(0, 2), hex);
        return JSON.parse(readFileSync(object, 'utf8'));
      };

      const first = await execute({});
      expect([...first.values()].map(({ stage, state }) => [stage, state]).sort()).toEqual([
        ['average', 'completed'],
        ['collect', 'completed'],
        ['judge', 'completed'],
      ]);
      expect(report(first)).toMatchObject({ needs_shade: ['bed-b'] });
      expect(first.get('collect')?.metrics['silent']?.last).toBe(4);
      expect(first.get('average')?.metrics['bed-b/warmest']?.last).toBe(27);

      const second = await execute({ judge: { most_change: 7 } });
      expect(report(second)).toMatchObject({ needs_shade: ['bed-a', 'bed-b'] });
      const cached = project.rows<{ stage: string }>(
        "SELECT stage_name AS stage FROM stage_runs WHERE cause = 'cached' ORDER BY stage_name",
      );
      expect(cached.map(({ stage }) => stage)).toEqual(['average', 'collect']);
    });
  });
}
