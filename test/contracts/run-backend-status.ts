import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { statusOf, until } from './backend-harness.ts';
import { type Get, GO_AND_WAIT, sh } from './run-backend.ts';

export function statusesOf(get: Get): void {
  describe('the status', () => {
    it('is running with the time of the start, then exited with the result', async () => {
      const h = get();
      const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
      await h.ready(handle);
      const running = await until(async () => {
        const status = await statusOf(h.backend, handle);
        return status.phase === 'running' && status;
      }, 'it runs');
      expect(running).toMatchObject({ result: null, error: null, startedAt: expect.stringMatching(/Z$/) });
      await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
      const { status, result } = await h.ended(handle);
      expect(status).toMatchObject({ phase: 'exited', error: null, startedAt: result.startedAt });
      expect(result.startedAt).toBe(running.startedAt);
    });

    it('comes one for each handle, in their order, whatever is wrong with one', async () => {
      const h = get();
      const first = await h.run({ command: sh('exit 1') });
      const second = await h.run({ command: sh('exit 2') });
      const nobody = { ...first.handle, runId: 'stage-ffffffffffff' };
      const broken = await h.run({ command: sh('exit 3') });
      await writeFile(h.layout.attempt(broken.handle.runId, 1).result, 'garbage');
      // What executed it may live a moment longer than its result.
      await until(async () => (await statusOf(h.backend, broken.handle)).phase === 'exited', 'its end');
      const statuses = await h.backend.getStatus([second.handle, nobody, broken.handle, first.handle]);
      expect(statuses.map(({ phase }) => phase)).toEqual(['exited', 'absent', 'exited', 'exited']);
      expect(statuses.map(({ result }) => result?.kind)).toEqual(['read', undefined, 'garbled', 'read']);
      expect(statuses[3]!.result).toMatchObject({ result: { exitCode: 1 } });
      expect(await h.backend.getStatus([])).toEqual([]);
    });

    it('tells a missing, an unreadable and a garbled result apart', async () => {
      const h = get();
      const { handle } = await h.run({ command: ['true'] });
      const file = h.layout.attempt(handle.runId, 1).result;
      const whole = await readFile(file, 'utf8');
      // What executed it may live a moment longer than its result, and then whatever is there may be replaced.
      await rm(file);
      await until(async () => (await statusOf(h.backend, handle)).phase === 'absent', 'its end');
      for (const [text, detail] of [
        ['{"schema": 1, "ru', 'damaged'],
        ['', 'damaged'],
        [whole.replace('"exitCode": 0', '"exitCode": null'), 'damaged'],
        [whole.replace('"attempt": 1', '"attempt": 2'), 'another run or attempt'],
        [whole.replace(handle.runId, 'stage-eeeeeeeeeeee'), 'another run or attempt'],
      ] as const) {
        await writeFile(file, text);
        expect(await statusOf(h.backend, handle)).toMatchObject({
          phase: 'exited',
          result: { kind: 'garbled', detail: expect.stringContaining(detail) },
        });
      }
      await rm(file);
      await mkdir(file);
      expect(await statusOf(h.backend, handle)).toMatchObject({
        phase: 'exited',
        result: { kind: 'unreadable' },
      });
      await rm(file, { recursive: true });
      expect(await statusOf(h.backend, handle)).toMatchObject({ phase: 'absent', result: null });
    });

    it('is absent after what executed it was killed, and a launch does not start it again', async () => {
      const h = get();
      const { handle, spec } = await h.start({
        command: sh(`echo ran >> "$GOLDFISH_CHECKPOINTS/count"; setsid sleep 300 & ${GO_AND_WAIT}`),
      });
      await h.ready(handle);
      await until(async () => (await statusOf(h.backend, handle)).phase === 'running', 'it runs');
      await h.loseExecutor(handle);
      await until(async () => (await statusOf(h.backend, handle)).phase === 'absent', 'absence');
      expect(await statusOf(h.backend, handle)).toMatchObject({ raw: 'gone', result: null, error: null });
      await h.backend.cleanup(handle);
      expect(await h.remains(handle)).toEqual([]);
      await h.backend.launch(spec);
      expect((await statusOf(h.backend, handle)).phase).toBe('absent');
      expect(await readFile(join(spec.checkpointsDir, 'count'), 'utf8')).toBe('ran\n');
    });

    it('need not be asked for: the wake socket is poked at start and end, if somebody listens', async () => {
      const h = get();
      const path = join(h.outside, 'w.sock');
      const pokes: string[] = [];
      const server = createServer((socket) => socket.on('data', (data) => pokes.push(`${data}`)));
      await new Promise<void>((resolve) => server.listen(path, resolve));
      await h.run({ command: ['true'], wakeSocket: path });
      await until(async () => pokes.length === 2, 'two pokes');
      expect(pokes).toEqual(['wake\n', 'wake\n']);
      server.close();
      const nobody = await h.run({ command: ['true'], wakeSocket: join(h.outside, 'nobody.sock') });
      expect(nobody.result.exitCode).toBe(0);
      const long = await h.run({ command: ['true'], wakeSocket: `/${'x'.repeat(200)}` });
      expect(long.result.exitCode).toBe(0);
    });
  });
}
