import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/core/json.ts';
import { endOf, readIfThere, statusOf, until } from './backend-harness.ts';
import { type Get, GO_AND_WAIT, sh } from './run-backend.ts';

export function cleanupOf(get: Get): void {
  describe('cleanup', () => {
    it('frees inputs and scratch, and keeps result, log, outputs and checkpoints', async () => {
      const h = get();
      const content = join(h.outside, 'content');
      await writeFile(content, 'input', { mode: 0o444 });
      const { handle, result, spec } = await h.run({
        inputs: [
          {
            name: 'raw',
            type: 'csv',
            hash: sha256('x'),
            kind: 'file',
            fileName: 'raw.csv',
            localPath: content,
          },
        ],
        command: sh(
          'echo said; echo out > "$GOLDFISH_OUTPUTS/o"; echo state > "$GOLDFISH_CHECKPOINTS/c"; mkdir -p "$HOME/a"; echo x > "$HOME/a/b"; chmod 0 "$HOME/a"',
        ),
      });
      await h.backend.cleanup(handle);
      await h.backend.cleanup(handle);
      const folders = h.layout.attempt(handle.runId, 1);
      const left = await readdir(folders.dir);
      expect(left).not.toContain('tmp');
      expect(left).not.toContain('inputs');
      expect(await endOf(h.another(), handle)).toEqual(result);
      expect(await h.log(handle)).toEqual(['said']);
      expect(await readFile(join(folders.outputs, 'o'), 'utf8')).toBe('out\n');
      expect(await readFile(join(spec.checkpointsDir, 'c'), 'utf8')).toBe('state\n');
      expect(await readFile(content, 'utf8')).toBe('input');
      expect(await h.remains(handle)).toEqual([]);
    });

    it('ends an attempt that still runs, with its daemons', async () => {
      const h = get();
      const { handle } = await h.start({ command: sh(`setsid sleep 300 & ${GO_AND_WAIT}`) });
      await h.ready(handle);
      await h.backend.cleanup(handle);
      expect(await h.remains(handle)).toEqual([]);
      await until(async () => (await statusOf(h.backend, handle)).phase !== 'running', 'its end');
    });

    it('of an attempt that never was is harmless', async () => {
      const { backend } = get();
      await backend.cleanup({
        backend: backend.name,
        runId: 'stage-ffffffffffff',
        attempt: 1,
        externalId: 'x',
        data: {},
      });
    });

    it('touches no other run', async () => {
      const h = get();
      const bystander = await h.start({ command: sh(GO_AND_WAIT) });
      await h.ready(bystander.handle);
      const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
      await h.ready(handle);
      await h.backend.cleanup(handle);
      expect(await statusOf(h.backend, bystander.handle)).toMatchObject({ phase: 'running', result: null });
      const { control } = h.layout.attempt(bystander.handle.runId, 1);
      expect(await readIfThere(join(control, 'stop'))).toBeUndefined();
      await h.backend.cleanup(bystander.handle);
    });

    it('ends what a killed executor left running when a stop is asked for', async () => {
      const h = get();
      const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
      await h.ready(handle);
      await until(async () => (await statusOf(h.backend, handle)).phase === 'running', 'it runs');
      await h.loseExecutor(handle);
      await until(async () => (await statusOf(h.backend, handle)).phase === 'absent', 'absence');
      await h.backend.terminate(handle, { graceSeconds: 30, reason: 'cancel' });
      await until(async () => (await h.remains(handle)).length === 0, 'nothing is left');
    });
  });
}
