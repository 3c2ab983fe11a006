import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listSegments } from '../../src/backends/log-format.ts';
import { readLog } from '../../src/backends/log-segments.ts';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { endOf, findProcesses, readIfThere, until } from '../contracts/backend-harness.ts';
import { GO_AND_WAIT, py, sh } from '../contracts/run-backend.ts';
import { NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';

/** What the contract of run backends does not promise and this one does. */
for (const mode of ['none', 'bubblewrap'] as const) {
  const missing = mode === 'bubblewrap' ? NEEDS_BUBBLEWRAP : '';
  const title = `process ${mode === 'none' ? 'without a sandbox' : `in bubblewrap${missing}`}`;
  describe.skipIf(missing !== '')(title, () => {
    let h: Harness;
    beforeAll(async () => {
      h = await openHarness(mode);
    });
    afterAll(() => h.close());

    it('says how it isolates', async () => {
      const probe = await h.backend.probe();
      expect(h.backend.capabilities.isolation).toBe(mode === 'none' ? 'none' : 'namespaces');
      expect(probe.why).toContain(mode === 'none' ? 'without a sandbox' : 'bubblewrap sandbox');
    });

    it('reports what the program used', async () => {
      const { result } = await h.run({ command: py('x = bytearray(50_000_000)') });
      expect(result.maxRssBytes).toBeGreaterThan(50_000_000);
      expect(result.cpuSeconds).toBeGreaterThan(0);
    });

    it('gives a stage its folders in the run’s own, and a small fixed environment', async () => {
      const { handle } = await h.run({ command: py('import json, os; print(json.dumps(dict(os.environ)))') });
      const folders = h.layout.attempt(handle.runId, 1);
      const environment = JSON.parse((await h.log(handle))[0]!);
      expect(environment).toMatchObject({
        GOLDFISH_INPUTS: folders.inputs,
        GOLDFISH_OUTPUTS: folders.outputs,
        GOLDFISH_CONTROL: folders.control,
        GOLDFISH_CHECKPOINTS: folders.checkpoints,
        GOLDFISH_CONFIG: folders.config,
        TMPDIR: folders.temp,
        HOME: folders.temp,
      });
      const names = Object.keys(environment).filter((name) => !name.startsWith('GOLDFISH_'));
      expect(new Set(names)).toEqual(
        new Set([
          ...['PATH', 'HOME', 'TMPDIR', 'LANG', 'PYTHONDONTWRITEBYTECODE', 'PYTHONUNBUFFERED'],
          ...['PYTHONNOUSERSITE', 'PYTHONPATH'],
          ...names.filter((name) => ['LC_CTYPE', 'PWD'].includes(name)),
        ]),
      );
    });

    it('loses its program together with the run wrapper', async () => {
      const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
      await h.ready(handle);
      const { wrapper } = h.layout.attempt(handle.runId, 1);
      const program = await until(async () => {
        const { ranks } = JSON.parse(await readFile(wrapper, 'utf8'));
        return ranks[0].process?.pid as number | undefined;
      }, 'the wrapper has written of its program');
      await h.loseExecutor(handle);
      await until(async () => !(await readIfThere(`/proc/${program}/cmdline`)), 'the program died');
    });

    it('kills a run wrapper that does not react', async () => {
      const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
      await h.ready(handle);
      const { wrapper } = h.layout.attempt(handle.runId, 1);
      process.kill(JSON.parse(await readFile(wrapper, 'utf8')).pid, 'SIGSTOP');
      await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
      expect(await endOf(h.backend, handle)).toMatchObject({ stoppedBy: 'cancel', lost: false });
      await until(async () => (await findProcesses(handle.runId)).length === 0, 'nothing left');
    });

    it('hides secrets from the list of processes', async () => {
      const { handle } = await h.start({ secrets: { TOKEN: 's3cr3t-in-no-list' }, command: sh(GO_AND_WAIT) });
      await h.ready(handle);
      const { stdout } = spawnSync('ps', ['axww', '-o', 'args'], { encoding: 'utf8' });
      expect(stdout).not.toContain('s3cr3t-in-no-list');
      await h.backend.cleanup(handle);
    });

    it('keeps the first segment and the newest seven of a flood, and says where the gap is', async () => {
      const { handle, result } = await h.run({
        command: py(
          'import sys; b = sys.stdout.buffer\nfor i in range(200): b.write(b"".join(b"%08d %s\\n" % (i * 1000 + j, b"x" * 1000) for j in range(1000)))',
        ),
      });
      expect(result).toMatchObject({ exitCode: 0, error: null });
      const { log: dir } = h.layout.attempt(handle.runId, 1);
      const segments = await listSegments(dir);
      expect(segments).toHaveLength(8);
      expect(segments[0]!.start).toBe(0);
      let cursor = 0;
      let lines = 0;
      let last = '';
      const gaps: { from: number; to: number }[] = [];
      for (;;) {
        const page = await readLog({ dir, cursor });
        lines += page.lines.length;
        last = page.lines.at(-1)?.text ?? last;
        if (page.gap) gaps.push(page.gap);
        cursor = page.nextOffset;
        if (!page.more) break;
      }
      expect(gaps).toEqual([{ from: expect.any(Number), to: segments[1]!.start }]);
      expect(cursor).toBe(result.logBytes);
      expect(last.startsWith('00199999 ')).toBe(true);
      expect(lines).toBe((result.logBytes - (gaps[0]!.to - gaps[0]!.from)) / 1038);
    });
  });
}
