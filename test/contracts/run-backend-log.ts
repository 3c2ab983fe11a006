import { describe, expect, it } from 'vitest';
import { readLog } from '../../src/backends/log-segments.ts';
import { type Get, py, sh } from './run-backend.ts';

export function logOf(get: Get): void {
  describe('the log', () => {
    it('tells the streams apart and keeps the order of each', async () => {
      const { handle } = await get().run({
        command: sh('for i in 1 2 3; do echo out $i; echo err $i >&2; done'),
      });
      const { lines } = await readLog({ dir: get().layout.attempt(handle.runId, 1).log });
      const of = (stream: string): string[] =>
        lines.filter((line) => line.stream === stream).map((line) => line.text);
      expect(of('stdout')).toEqual(['out 1', 'out 2', 'out 3']);
      expect(of('stderr')).toEqual(['err 1', 'err 2', 'err 3']);
    });

    it('can be read while the program writes', async () => {
      const h = get();
      const { handle } = await h.start({
        command: sh('echo early; echo > "$GOLDFISH_CONTROL/go"; sleep 300'),
      });
      await h.ready(handle);
      await expect.poll(() => h.log(handle), { timeout: 20_000 }).toEqual(['early']);
      await h.backend.cleanup(handle);
    });

    it('holds a flood of lines completely and in order, read page by page', {
      timeout: 120_000,
    }, async () => {
      const { handle, result } = await get().run({
        command: py(
          'import sys; w = sys.stdout.write\nfor i in range(0, 300000, 1000): w("".join("line %07d\\n" % j for j in range(i, i + 1000)))',
        ),
      });
      expect(result).toMatchObject({ exitCode: 0, error: null, logBytes: 41 * 300_000 });
      const { log: dir } = get().layout.attempt(handle.runId, 1);
      let cursor = 0;
      let next = 0;
      for (;;) {
        const page = await readLog({ dir, cursor, limitLines: 7_777, limitBytes: 300_000 });
        for (const line of page.lines) {
          if (line.text !== `line ${`${next}`.padStart(7, '0')}`)
            throw new Error(`expected line ${next}, got ${line.text}`);
          next += 1;
        }
        cursor = page.nextOffset;
        if (!page.more) break;
      }
      expect(next).toBe(300_000);
    });

    it('cuts long lines between characters, keeps bytes that are no text, closes a last line without newline', async () => {
      const { handle } = await get().run({
        command: py(
          'import sys; b = sys.stdout.buffer; b.write("é🐟".encode() * 10000 + b"\\n"); b.write(b"crlf\\r\\n"); b.write(b"\\xff\\xfe bad\\n\\n"); b.flush(); sys.stderr.write("no newline")',
        ),
      });
      const page = await readLog({ dir: get().layout.attempt(handle.runId, 1).log });
      const out = page.lines.filter((line) => line.stream === 'stdout');
      const long = out.slice(0, -3);
      expect(long.length).toBeGreaterThan(1);
      expect(long.map((line) => line.partial ?? false)).toEqual([
        ...Array(long.length - 1).fill(true),
        false,
      ]);
      expect(long.map((line) => line.text).join('')).toBe('é🐟'.repeat(10000));
      expect(out.slice(-3).map((line) => line.text)).toEqual(['crlf', '\ufffd\ufffd bad', '']);
      const err = page.lines.filter((line) => line.stream === 'stderr').map((line) => line.text);
      expect(err).toEqual(['no newline']);
    });

    it('has what a program printed at once before it died', async () => {
      const { handle } = await get().run({ command: sh('echo last words; kill -KILL $$') });
      expect(await get().log(handle)).toEqual(['last words']);
    });
  });
}
