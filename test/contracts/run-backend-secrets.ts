import { spawnSync } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { endOf } from './backend-harness.ts';
import { type Get, py } from './run-backend.ts';

export function secretsOf(get: Get): void {
  describe('a secret', () => {
    it('reaches the program, and neither file nor argument nor the log', async () => {
      const h = get();
      const secret = `s3cr3t-${Math.random()}-"quoted"`;
      const { handle } = await h.start({
        secrets: { API_TOKEN: secret, PEM: 'first secret line\nsecond secret line' },
        command: py(
          'import os,json,time,sys; t=os.environ["API_TOKEN"]; print("plain", t); print(json.dumps({"token": t})); sys.stderr.write("half " + t[:5]); sys.stderr.flush(); sys.stderr.write(t[5:] + "\\n"); print(os.environ["PEM"]); print(len(t), flush=True); open(os.environ["GOLDFISH_CONTROL"] + "/go", "w"); time.sleep(60)',
        ),
      });
      await h.ready(handle);
      expect(spawnSync('ps', ['axww', '-o', 'args'], { encoding: 'utf8' }).stdout).not.toContain('s3cr3t-');
      expect(await h.recorded(handle)).not.toContain('s3cr3t-');
      await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
      await endOf(h.backend, handle);
      expect(await h.log(handle)).toEqual(
        expect.arrayContaining(['plain ***', '{"token": "***"}', 'half ***', '***', `${secret.length}`]),
      );
      const folders = h.layout.attempt(handle.runId, 1);
      for (const file of await readdir(folders.dir, { recursive: true, withFileTypes: true })) {
        if (!file.isFile()) continue;
        const content = await readFile(join(file.parentPath, file.name), 'latin1');
        expect(content, file.name).not.toContain('s3cr3t-');
        expect(content, file.name).not.toContain('secret line');
      }
      expect((await stat(folders.spec)).mode & 0o777).toBe(0o600);
    });

    it('is hidden in the log where it lies across the cut of a long line', async () => {
      const { handle } = await get().run({
        secrets: { TOKEN: 'very-secret-token' },
        command: py('import os; print("x" * (16 * 1024 - 5) + os.environ["TOKEN"] + "y" * 40000)'),
      });
      const text = (await get().log(handle)).join('');
      expect(text).toBe(`${'x'.repeat(16 * 1024 - 5)}***${'y'.repeat(40000)}`);
    });

    it('wins over a literal value of its name, and takes no name of Goldfish', async () => {
      const { handle } = await get().run({
        environment: { TOKEN: 'literal' },
        secrets: { TOKEN: 'from-the-secret' },
        command: py('import os; print(len(os.environ["TOKEN"]), os.environ["GOLDFISH_STAGE"])'),
      });
      expect(await get().log(handle)).toEqual(['15 train']);
    });
  });
}
