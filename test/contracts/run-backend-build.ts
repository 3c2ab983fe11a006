import { describe, expect, it } from 'vitest';
import { type Get, py } from './run-backend.ts';

export function buildOf(get: Get): void {
  describe('build', () => {
    it('is of a backend that says what it can do, and whether it can do it now', async () => {
      const { backend } = get();
      const probe = await backend.probe();
      expect(probe.available).toBe(true);
      expect(probe.why).not.toBe('');
      const { capabilities } = backend;
      expect(['none', 'namespaces', 'container', 'machine']).toContain(capabilities.isolation);
      expect(capabilities.maxNodes).toBeGreaterThanOrEqual(1);
      expect(capabilities.liveLogs).toBe('local');
    });

    it('finds what a version without requirements runs in, under the key it was planned with', async () => {
      const request = await get().buildRequest();
      const lines: string[] = [];
      const runtime = await get().backend.build(request, { onLine: (line) => void lines.push(line) });
      expect(runtime.key).toBe(request.key);
      expect(runtime.description).not.toBe('');
      expect(JSON.parse(JSON.stringify(runtime))).toEqual(runtime);
      const again = await get()
        .another()
        .build(request, { onLine: () => undefined });
      expect(again).toEqual(runtime);
      expect(lines).toEqual([]);
    });

    it('refuses to build for another key than the files have', async () => {
      const request = await get().buildRequest({ key: 'sha256:planned-elsewhere' });
      await expect(get().backend.build(request, { onLine: () => undefined })).rejects.toMatchObject({
        code: 'CONFLICT',
      });
    });

    it('names file and line of a requirement it cannot follow', async () => {
      const h = get();
      await h.write('requirements.txt', '# none so far\n-r missing.txt\n');
      try {
        const request = await h.buildRequest();
        await expect(h.backend.build(request, { onLine: () => undefined })).rejects.toMatchObject({
          code: 'INVALID_CONFIG',
          message: expect.stringMatching(/^requirements\.txt:2:1: "missing\.txt" is not in the version/),
        });
      } finally {
        await h.remove('requirements.txt');
      }
    });

    it('gives a first word python the interpreter of the runtime', async () => {
      const { result, handle } = await get().run({
        command: py('import sys; print(sys.version_info >= (3, 8))'),
      });
      expect(result.exitCode).toBe(0);
      expect(await get().log(handle)).toEqual(['True']);
    });
  });
}
