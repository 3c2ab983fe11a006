import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Get, py, sh } from './run-backend.ts';

export function endsOf(get: Get): void {
  describe('the end of a program', () => {
    it('is reported as success with times and the size of the log', async () => {
      const { result, handle } = await get().run({ command: sh('echo hello') });
      expect(result).toMatchObject({
        schema: 1,
        runId: handle.runId,
        attempt: 1,
        started: true,
        exitCode: 0,
        signal: null,
        stoppedBy: null,
        oom: false,
        rank: 0,
        lost: false,
        error: null,
      });
      expect(result.startedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(result.endedAt >= result.startedAt!).toBe(true);
      expect(result.logBytes).toBe('2026-11-21T22:00:00.123Z o  hello\n'.length);
    });

    it.each([1, 2, 126, 127, 137, 143, 255])('is exit code %i where that is what it said', async (code) => {
      const { result } = await get().run({ command: sh(`exit ${code}`) });
      expect(result).toMatchObject({ started: true, exitCode: code, signal: null, lost: false, oom: false });
    });

    it.each(['SEGV', 'ABRT', 'KILL', 'TERM', 'USR1'])('is SIG%s where that killed it', async (name) => {
      const { result } = await get().run({ command: sh(`kill -${name} $$`) });
      expect(result).toMatchObject({
        started: true,
        exitCode: null,
        signal: `SIG${name}`,
        stoppedBy: null,
        oom: false,
        lost: false,
      });
    });

    it('is the program’s own, not that of a shell or interpreter around it', async () => {
      const { result } = await get().run({
        command: py('import os, signal; os.kill(os.getpid(), signal.SIGFPE)'),
      });
      expect(result).toMatchObject({ exitCode: null, signal: 'SIGFPE' });
    });

    it('is told from a start that failed, in a sentence', async () => {
      const h = get();
      await h.write('data.txt', 'no program');
      await h.write('bad.sh', '#!/no/such/interpreter\n');
      await chmod(join(h.codeDir, 'bad.sh'), 0o755);
      const missing = await h.run({ command: ['no-such-program-here'] });
      expect(missing.result).toMatchObject({
        started: false,
        exitCode: null,
        signal: null,
        startedAt: null,
        errno: 'ENOENT',
      });
      expect(missing.result.error).toBe('The program "no-such-program-here" was not found.');
      const plain = await h.run({ command: ['./data.txt'] });
      expect(plain.result).toMatchObject({ started: false, errno: 'EACCES' });
      expect(plain.result.error).toBe('"./data.txt" is not an executable file, or may not be executed.');
      const shebang = await h.run({ command: ['./bad.sh'] });
      expect(shebang.result.error).toBe(
        '"./bad.sh" cannot run: the interpreter in its first line is not there.',
      );
      expect(shebang.result.errno).toBe('ENOENT');
    });

    it('ends helpers and daemons too, and does not wait for pipes they hold', async () => {
      const { result, handle } = await get().run({
        command: sh(
          'sleep 300 & setsid sleep 300 & (setsid sh -c "(sleep 300 &) ; sleep 300" &) ; echo started; exit 4',
        ),
      });
      expect(result).toMatchObject({ exitCode: 4, error: null });
      await get().backend.cleanup(handle);
      expect(await get().remains(handle)).toEqual([]);
    });

    it('is out of memory only where the limit’s keeper says so', async () => {
      const { resources } = await get().spec();
      const { result, handle } = await get().run({
        resources: { ...resources, memoryBytes: 120_000_000 },
        command: py(
          'x = bytearray(60_000_000); print("first"); y = bytearray(200_000_000); print("second", len(y))',
        ),
      });
      // A limit for the whole tree where one can be had, else one for each process, which is the program's own error.
      if (result.oom) expect(result).toMatchObject({ signal: 'SIGKILL', exitCode: null });
      else expect(result).toMatchObject({ exitCode: 1, signal: null });
      expect(await get().log(handle)).toContain('first');
      expect((await get().log(handle)).join()).not.toContain('second');
    });

    it('is not out of memory because a helper was, when the program ended well', async () => {
      const { resources } = await get().spec();
      const { result } = await get().run({
        resources: { ...resources, memoryBytes: 120_000_000 },
        command: py(
          'import subprocess, sys; subprocess.run([sys.executable, "-c", "bytearray(300_000_000)"], stderr=-3)',
        ),
      });
      expect(result).toMatchObject({ started: true, exitCode: 0, signal: null, oom: false });
    });
  });
}
