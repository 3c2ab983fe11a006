import { lstat, mkdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { signalFileName } from '../../src/core/signals.ts';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { endOf, readIfThere, until } from '../contracts/backend-harness.ts';
import { HAS_BUBBLEWRAP, NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';

const LIBRARY = assetPath('sdk/node');
const output = (name: string, type: 'json' | 'npy' | 'csv') => ({
  name,
  type,
  fileName: signalFileName(name, type),
});

for (const mode of ['none', 'bubblewrap'] as const) {
  const title =
    mode === 'none' ? 'a Node stage without a sandbox' : `a Node stage in bubblewrap${NEEDS_BUBBLEWRAP}`;
  describe.skipIf(mode === 'bubblewrap' && !HAS_BUBBLEWRAP)(title, () => {
    let h: Harness;
    beforeAll(async () => {
      h = await openHarness(mode);
    });
    afterAll(() => h.close());

    /** Runs a program of the code folder; its log lines. */
    const run = async (file: string, program: string): Promise<string[]> => {
      await h.write(file, program);
      const { handle, result } = await h.run({ command: [process.execPath, file] });
      const log = await h.log(handle);
      expect({ code: result.exitCode, log }).toMatchObject({ code: 0 });
      return log;
    };

    it('imports goldfish and requires it, from its code and from its scratch folder, and gets one library', async () => {
      const print = 'console.log(runInfo().runId.slice(0, 6), shouldStop())';
      expect(await run('modules/a.mjs', `import { runInfo, shouldStop } from 'goldfish';\n${print}`)).toEqual(
        ['stage- false'],
      );
      expect(
        await run('modules/b.cjs', `const { runInfo, shouldStop } = require('goldfish');\n${print}`),
      ).toEqual(['stage- false']);
      const both = `import { createRequire } from 'node:module';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import goldfish, { saveOutput } from 'goldfish';
import * as all from 'goldfish';
const required = createRequire(import.meta.url)('goldfish');
console.log(required === goldfish, required.saveOutput === saveOutput);
console.log(JSON.stringify(Object.keys(all).filter((name) => name !== 'default')) === JSON.stringify(Object.keys(required).sort()));
const made = join(process.env.TMPDIR, 'made.mjs');
writeFileSync(made, "import { runInfo } from 'goldfish'; console.log(runInfo().stage)");
console.log(execFileSync(process.execPath, [made], { encoding: 'utf8' }).trim());`;
      expect(await run('deep/er/c.mjs', both)).toEqual(['true true', 'true', 'train']);
    });

    it('cannot change the library that others import, nor the folder it is found in', async () => {
      const link = h.layout.nodeLibrary;
      await run(
        'modules/spoil.mjs',
        `import fs from 'node:fs';
import { createRequire } from 'node:module';
const place = createRequire(import.meta.url).resolve('goldfish/package.json');
console.log(place);
if (${JSON.stringify(mode)} === 'bubblewrap') {
  for (const act of [() => fs.appendFileSync(place, ' '), () => fs.rmSync(${JSON.stringify(link)}, { recursive: true })]) {
    try { act(); process.exitCode = 1; } catch {}
  }
}`,
      );
      expect(JSON.parse(await readFile(join(LIBRARY, 'package.json'), 'utf8'))).toMatchObject({
        name: 'goldfish',
      });
      // The sandbox shows it where nothing is outside; without one it is a link.
      if (mode === 'bubblewrap') await expect(lstat(link)).rejects.toMatchObject({ code: 'ENOENT' });
      else expect(join(await readlink(link))).toBe(join(LIBRARY));
    });

    it('reads inputs, saves outputs, logs metrics, and Python reads what it saved', async () => {
      await h.write(
        'modules/make.mjs',
        `import { loadInput, saveOutput, logMetric, config } from 'goldfish';
const rows = loadInput('raw');
saveOutput('squares', Int32Array.from(rows, (row) => row.n ** 2));
saveOutput('named', rows.map(({ n }) => ({ name: 'ü' + n, n, odd: n % 2 === 1 })));
logMetric('sum', rows.reduce((sum, { n }) => sum + n, 0), { step: config().step });`,
      );
      await writeFile(join(h.outside, 'raw'), 'n\n1\n2\n3\n');
      const made = await h.run({
        command: [process.execPath, 'modules/make.mjs'],
        config: { step: 7 },
        inputs: [
          {
            name: 'raw',
            type: 'csv',
            hash: 'sha256:00',
            kind: 'file',
            fileName: 'raw.csv',
            localPath: join(h.outside, 'raw'),
          },
        ],
        outputs: [output('squares', 'npy'), output('named', 'csv')],
      });
      expect({ log: await h.log(made.handle), code: made.result.exitCode }).toEqual({ log: [], code: 0 });
      const folders = h.layout.attempt(made.handle.runId, 1);
      expect(JSON.parse(await readFile(folders.metrics, 'utf8'))).toMatchObject({
        name: 'sum',
        value: 6,
        step: 7,
      });
      const read = await h.run({
        command: [
          'python',
          '-c',
          'import goldfish; print(goldfish.load_input("squares", plain=True), goldfish.load_input("named", plain=True))',
        ],
        inputs: [output('squares', 'npy'), output('named', 'csv')].map((signal) => ({
          ...signal,
          hash: 'sha256:00',
          kind: 'file' as const,
          localPath: join(folders.outputs, signal.fileName),
        })),
      });
      expect(await h.log(read.handle)).toEqual([
        "[1, 4, 9] [{'name': 'ü1', 'n': 1, 'odd': True}, {'name': 'ü2', 'n': 2, 'odd': False}, {'name': 'ü3', 'n': 3, 'odd': True}]",
      ]);
    });

    it('goes on from the checkpoint of a killed attempt, in Python from what Node saved and back', async () => {
      await h.write(
        'modules/save.mjs',
        `import { loadCheckpoint, saveCheckpoint } from 'goldfish';
console.log(JSON.stringify(loadCheckpoint()));
saveCheckpoint('state', { from: 'node', epoch: 1, best: 0.25 }, { step: 1 });
process.kill(process.pid, 'SIGKILL');`,
      );
      const first = await h.run({ command: [process.execPath, 'modules/save.mjs'] });
      expect(first.result).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
      const { runId } = first.handle;
      const second = await h.run({
        runId,
        attempt: 2,
        command: [
          'python',
          '-c',
          'import goldfish; print(goldfish.load_checkpoint()); goldfish.save_checkpoint("state", {"from": "python", "best": float("inf")}, step=2)',
        ],
      });
      expect(await h.log(second.handle)).toEqual(["{'from': 'node', 'epoch': 1, 'best': 0.25}"]);
      await h.write(
        'modules/load.mjs',
        `import { listCheckpoints, loadCheckpoint } from 'goldfish';
console.log(loadCheckpoint(), listCheckpoints().map(({ step, attempt }) => [step, attempt]));`,
      );
      const third = await h.run({ runId, attempt: 3, command: [process.execPath, 'modules/load.mjs'] });
      expect(await h.log(third.handle)).toEqual([
        "{ from: 'python', best: Infinity } [ [ 1, 1 ], [ 2, 2 ] ]",
      ]);
    });

    it('that asks whether to stop is told before SIGTERM comes, and ends by itself', async () => {
      await h.write(
        'modules/long.mjs',
        `import { heartbeat, saveOutput, shouldStop } from 'goldfish';
process.on('SIGTERM', () => console.log('SIGTERM came'));
let asked = 0;
const look = () => {
  asked += 1;
  if (!shouldStop()) return setTimeout(look, 10);
  saveOutput('report', { asked: asked > 1 });
  console.log('stopping');
};
look();
heartbeat('waiting');`,
      );
      const spec = await h.spec({
        command: [process.execPath, 'modules/long.mjs'],
        outputs: [output('report', 'json')],
        stopGraceSeconds: 30,
      });
      const handle = await h.backend.launch(spec);
      const folders = h.layout.attempt(handle.runId, 1);
      await until(async () => (await readIfThere(folders.heartbeat)) === 'waiting\n', 'the stage waits');
      await h.backend.terminate(handle, { graceSeconds: 30, reason: 'cancel' });
      expect(await endOf(h.backend, handle)).toMatchObject({ exitCode: 0, stoppedBy: 'cancel' });
      expect(await h.log(handle)).toEqual(['stopping']);
      expect(JSON.parse(await readFile(join(folders.outputs, 'report.json'), 'utf8'))).toEqual({
        asked: true,
      });
    });

    it('is seen alive from its import on, and ends as soon as its own work is done', async () => {
      await h.write('modules/short.mjs', "import 'goldfish';\n");
      const { handle, result } = await h.run({ command: [process.execPath, 'modules/short.mjs'] });
      expect(result).toMatchObject({ exitCode: 0, signal: null });
      expect((await lstat(h.layout.attempt(handle.runId, 1).heartbeat)).isFile()).toBe(true);
    });
  });
}

describe('the place of the library for Node', () => {
  it('is put right where a folder, or a link to an older Goldfish, is in its place', async () => {
    const h = await openHarness('none');
    try {
      const link = h.layout.nodeLibrary;
      await h.write('modules/a.mjs', "import { runInfo } from 'goldfish'; console.log(runInfo().attempt)");
      const command = [process.execPath, 'modules/a.mjs'];
      await mkdir(join(link, 'old'), { recursive: true });
      const first = await h.run({ command });
      expect(await h.log(first.handle)).toEqual(['1']);
      await rm(link);
      await symlink('/nowhere/goldfish', link);
      const [second, third] = await Promise.all([h.run({ command }), h.run({ command })]);
      expect([await h.log(second.handle), await h.log(third.handle)]).toEqual([['1'], ['1']]);
      expect(join(await readlink(link))).toBe(join(LIBRARY));
    } finally {
      await h.close();
    }
  });
});
