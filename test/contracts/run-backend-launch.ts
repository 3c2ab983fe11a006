import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/core/json.ts';
import { endOf, statusOf, until } from './backend-harness.ts';
import { type Get, GO_AND_WAIT, sh } from './run-backend.ts';

const COUNT = 'echo ran >> "$GOLDFISH_CHECKPOINTS/count"';

export function launchOf(get: Get): void {
  describe('launch', () => {
    it('answers a handle that run id and attempt alone lead to', async () => {
      const { handle, spec } = await get().run({});
      expect(handle).toMatchObject({
        backend: get().backend.name,
        runId: spec.runId,
        attempt: 1,
        externalId: `goldfish-${spec.runId}-1`,
      });
      expect(JSON.parse(JSON.stringify(handle))).toEqual(handle);
      const found = { ...handle, externalId: '', data: {} };
      expect((await statusOf(get().another(), found)).phase).toBe('exited');
    });

    it('executes one attempt once, however many ask at the same time', async () => {
      const h = get();
      const spec = await h.spec({ command: sh(`${COUNT}; sleep 0.3`) });
      const others = [h.backend, h.another(), h.another()];
      const handles = await Promise.all([...others, ...others].map((backend) => backend.launch(spec)));
      expect(new Set(handles.map((handle) => JSON.stringify(handle))).size).toBe(1);
      await endOf(h.backend, handles[0]!);
      expect(await readFile(join(spec.checkpointsDir, 'count'), 'utf8')).toBe('ran\n');
    });

    it('starts nothing for an attempt that is over', async () => {
      const { spec, handle, result } = await get().run({ command: sh(COUNT) });
      expect(await get().backend.launch(spec)).toEqual(handle);
      await get().backend.cleanup(handle);
      expect(await get().another().launch(spec)).toEqual(handle);
      expect(await endOf(get().backend, handle)).toEqual(result);
      expect(await readFile(join(spec.checkpointsDir, 'count'), 'utf8')).toBe('ran\n');
    });

    it('executes the next attempt of a run beside what the first one left', async () => {
      const h = get();
      const first = await h.run({ command: sh(`${COUNT}; echo one > "$GOLDFISH_OUTPUTS/o"; exit 1`) });
      await h.backend.cleanup(first.handle);
      const { runId } = first.spec;
      const second = await h.run({
        runId,
        attempt: 2,
        command: sh(
          `${COUNT}; cat "$GOLDFISH_CHECKPOINTS/count"; ls "$GOLDFISH_OUTPUTS"; echo $GOLDFISH_ATTEMPT`,
        ),
      });
      expect(second.result).toMatchObject({ attempt: 2, exitCode: 0 });
      expect(second.handle.externalId).toBe(`goldfish-${runId}-2`);
      expect(await h.log(second.handle)).toEqual(['ran', 'ran', '2']);
      expect(await endOf(h.backend, first.handle)).toMatchObject({ attempt: 1, exitCode: 1 });
    });

    it('does not start a program that was to be stopped before it started', async () => {
      const h = get();
      const spec = await h.spec({ command: sh(COUNT) });
      const handle = { backend: h.backend.name, runId: spec.runId, attempt: 1, externalId: 'x', data: {} };
      expect(await statusOf(h.backend, handle)).toMatchObject({ phase: 'absent', raw: 'not started' });
      await h.backend.terminate(handle, { graceSeconds: 1, reason: 'cancel' });
      await h.backend.launch(spec);
      expect(await endOf(h.backend, handle)).toMatchObject({
        started: false,
        stoppedBy: 'cancel',
        exitCode: null,
        signal: null,
        startedAt: null,
      });
      await expect(readFile(join(spec.checkpointsDir, 'count'))).rejects.toMatchObject({ code: 'ENOENT' });
    });

    it('goes on when whoever launched it is gone', async () => {
      const h = get();
      const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
      await h.ready(handle);
      const later = h.another();
      await until(async () => (await statusOf(later, handle)).phase === 'running', 'it runs');
      await later.terminate(handle, { graceSeconds: 5, reason: 'cancel' });
      expect(await endOf(later, handle)).toMatchObject({ stoppedBy: 'cancel', signal: 'SIGTERM' });
    });

    it('starts nothing once it is told to give up', async () => {
      const spec = await get().spec({ command: sh(COUNT) });
      await expect(get().backend.launch(spec, { signal: AbortSignal.abort() })).rejects.toMatchObject({
        name: 'AbortError',
      });
      const handle = { backend: get().backend.name, runId: spec.runId, attempt: 1, externalId: '', data: {} };
      expect((await statusOf(get().backend, handle)).phase).toBe('absent');
      // A later launch of the same attempt is not hindered by what was prepared.
      await get().backend.launch(spec);
      expect(await endOf(get().backend, handle)).toMatchObject({ exitCode: 0 });
      expect(await readFile(join(spec.checkpointsDir, 'count'), 'utf8')).toBe('ran\n');
    });

    it.each([
      ['a reserved name', { environment: { GOLDFISH_RUN_ID: 'x' } }],
      ['a name that is none', { environment: { 'no-name': 'x' } }],
      ['a value no environment can hold', { secrets: { TOKEN: 'a\0b' } }],
      ['an empty command', { command: [] }],
      ['a null byte in a command', { command: ['echo', 'a\0b'] }],
    ])('refuses %s and starts nothing', async (_, change) => {
      const spec = await get().spec(change);
      await expect(get().backend.launch(spec)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
      const handle = { backend: get().backend.name, runId: spec.runId, attempt: 1, externalId: '', data: {} };
      expect((await statusOf(get().backend, handle)).phase).toBe('absent');
    });

    it('refuses more ranks than it can place, and more GPUs than there are', async () => {
      const { backend } = get();
      const spec = await get().spec({});
      const crowd = { ...spec.resources, nodes: backend.capabilities.maxNodes + 1 };
      await expect(backend.launch({ ...spec, resources: crowd })).rejects.toMatchObject({
        code: 'NOT_SUPPORTED',
        hint: expect.stringContaining('compute.nodes'),
      });
      if (backend.capabilities.gpu) return;
      await expect(
        backend.launch({ ...spec, resources: { ...spec.resources, gpus: 1 } }),
      ).rejects.toMatchObject({ code: 'NOT_SUPPORTED', hint: expect.stringContaining('compute.gpus') });
    });

    it('says which input has lost its content', async () => {
      const spec = await get().spec({
        inputs: [
          {
            name: 'raw',
            type: 'csv',
            hash: sha256('x'),
            kind: 'file',
            fileName: 'raw.csv',
            localPath: join(get().outside, 'gone'),
          },
        ],
      });
      await expect(get().backend.launch(spec)).rejects.toMatchObject({
        code: 'INPUT_UNAVAILABLE',
        message: 'The content of input "raw" is no longer there.',
      });
    });
  });
}
