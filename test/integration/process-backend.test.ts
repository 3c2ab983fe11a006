import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  endOf,
  findProcesses,
  type Harness,
  openHarness,
  readIfThere,
  statusOf,
  until,
} from '../backends/process-harness.ts';

const bwrap =
  spawnSync('bwrap', ['--ro-bind', '/', '/', '--unshare-pid', '--proc', '/proc', '--dev', '/dev', 'true'])
    .status === 0;
const sh = (script: string): string[] => ['/bin/sh', '-c', script];
const py = (script: string): string[] => ['python', '-c', script];

for (const mode of ['none', 'bubblewrap'] as const) {
  const title =
    mode === 'none'
      ? 'without a sandbox'
      : `in bubblewrap${bwrap ? '' : ' (needs bubblewrap: GOLDFISH_SETUP=1 npm test)'}`;
  describe.skipIf(mode === 'bubblewrap' && !bwrap)(title, () => {
    let h: Harness;
    beforeAll(async () => {
      h = await openHarness(mode);
    });
    afterAll(() => h.close());

    it('says how it isolates', async () => {
      const probe = await h.backend.probe();
      expect(probe.available).toBe(true);
      expect(h.backend.capabilities.isolation).toBe(mode === 'none' ? 'none' : 'namespaces');
      expect(probe.why).toContain(mode === 'none' ? 'without a sandbox' : 'bubblewrap sandbox');
    });

    it('reports success with times and usage', async () => {
      const { result } = await h.run({ command: sh('echo hello') });
      expect(result).toMatchObject({
        started: true,
        exitCode: 0,
        signal: null,
        stoppedBy: null,
        oom: false,
        rank: 0,
        lost: false,
        error: null,
      });
      expect(result.endedAt >= result.startedAt!).toBe(true);
      expect(result.maxRssBytes).toBeGreaterThan(0);
      expect(result.logBytes).toBe('2026-11-21T22:00:00.123Z o  hello\n'.length);
    });

    it.each([1, 2, 126, 127, 137, 143, 255])('keeps exit code %i apart from signals', async (code) => {
      const { result } = await h.run({ command: sh(`exit ${code}`) });
      expect(result).toMatchObject({ started: true, exitCode: code, signal: null });
    });

    it.each(['SEGV', 'ABRT', 'KILL', 'TERM', 'USR1'])(
      'reports death by SIG%s as that signal',
      async (name) => {
        const { result } = await h.run({ command: sh(`kill -${name} $$`) });
        expect(result).toMatchObject({
          started: true,
          exitCode: null,
          signal: `SIG${name}`,
          stoppedBy: null,
          oom: false,
          rank: 0,
          lost: false,
        });
      },
    );

    it('ends helpers and daemons with the program, and does not wait for pipes they hold', async () => {
      const mark = `leftover-${Math.random()}`;
      const { result } = await h.run({
        environment: { MARK: mark },
        command: sh(
          'sleep 300 & setsid sleep 300 & (setsid sh -c "(sleep 300 &) ; sleep 300" &) ; echo started; exit 4',
        ),
      });
      expect(result).toMatchObject({ exitCode: 4, error: null });
      expect(await findProcesses(mark)).toEqual([]);
    });

    it('kills a program and its daemons that ignore TERM when the grace period is over', async () => {
      const mark = `deaf-${Math.random()}`;
      const spec = await h.spec({
        environment: { MARK: mark },
        command: sh(
          'trap "" TERM; setsid sh -c "trap \\"\\" TERM; sleep 300; sleep 300" & echo > "$GOLDFISH_CONTROL/go"; while :; do sleep 1; done',
        ),
      });
      const handle = await h.backend.launch(spec);
      const { control, stop } = h.layout.attempt(handle.runId, 1);
      await until(() => readIfThere(join(control, 'go')), 'the program ran');
      const began = performance.now();
      await h.backend.terminate(handle, { graceSeconds: 0.5, reason: 'cancel' });
      const result = await endOf(h.backend, handle);
      expect(result).toMatchObject({ started: true, exitCode: null, signal: 'SIGKILL', stoppedBy: 'cancel' });
      expect(performance.now() - began).toBeGreaterThan(450);
      expect(performance.now() - began).toBeLessThan(10_000);
      expect(await readFile(stop, 'utf8')).toBe('cancel\n');
      expect(await findProcesses(mark)).toEqual([]);
    });

    it('lets a program that handles TERM finish in its own way', async () => {
      const spec = await h.spec({
        command: py(`
import os, signal, sys, time
def end(*_):
    print('saving', flush=True); time.sleep(0.1); print('saved', flush=True); sys.exit(7)
signal.signal(signal.SIGTERM, end)
open(os.environ['GOLDFISH_CONTROL'] + '/go', 'w').write('x')
time.sleep(300)
`),
      });
      const handle = await h.backend.launch(spec);
      await until(
        () => readIfThere(join(h.layout.attempt(handle.runId, 1).control, 'go')),
        'the program ran',
      );
      await h.backend.terminate(handle, { graceSeconds: 20, reason: 'monitor' });
      expect(await endOf(h.backend, handle)).toMatchObject({
        exitCode: 7,
        signal: null,
        stoppedBy: 'monitor',
      });
      expect(await h.log(handle)).toEqual(['saving', 'saved']);
    });

    it('gives a program that watches the stop file the grace period before TERM', async () => {
      const spec = await h.spec({
        command: py(`
import os, time
control = os.environ['GOLDFISH_CONTROL']
open(control + '/listens', 'w').close()
open(control + '/go', 'w').write('x')
while not os.path.exists(control + '/stop'): time.sleep(0.01)
time.sleep(0.2)
print('ended by itself')
`),
      });
      const handle = await h.backend.launch(spec);
      await until(
        () => readIfThere(join(h.layout.attempt(handle.runId, 1).control, 'go')),
        'the program ran',
      );
      await h.backend.terminate(handle, { graceSeconds: 20, reason: 'cancel' });
      expect(await endOf(h.backend, handle)).toMatchObject({ exitCode: 0, stoppedBy: 'cancel' });
      expect(await h.log(handle)).toEqual(['ended by itself']);
    });

    it('keeps the deadline without anybody looking', async () => {
      const spec = await h.spec({
        command: sh('echo on; sleep 300'),
        timeoutSeconds: 0.3,
        stopGraceSeconds: 20,
      });
      const handle = await h.backend.launch(spec);
      const file = h.layout.attempt(handle.runId, 1).result;
      const result = JSON.parse(await until(() => readIfThere(file), 'the result file'));
      expect(result).toMatchObject({ started: true, signal: 'SIGTERM', stoppedBy: 'timeout', oom: false });
    });

    it('executes one attempt once, however many ask at the same time', async () => {
      const spec = await h.spec({ command: sh('echo ran >> "$GOLDFISH_CHECKPOINTS/count"; sleep 0.3') });
      const handles = await Promise.all(Array.from({ length: 8 }, () => h.backend.launch(spec)));
      expect(new Set(handles.map((handle) => JSON.stringify(handle))).size).toBe(1);
      expect(handles[0]!.externalId).toBe(`goldfish-${spec.runId}-1`);
      await endOf(h.backend, handles[0]!);
      await h.backend.launch(spec);
      expect(await readFile(join(spec.checkpointsDir, 'count'), 'utf8')).toBe('ran\n');
    });

    it('reports absence, and nothing left, after the run wrapper was killed', async () => {
      const mark = `orphan-${Math.random()}`;
      const spec = await h.spec({
        environment: { MARK: mark },
        command: sh('setsid sleep 300 & echo > "$GOLDFISH_CONTROL/go"; sleep 300'),
      });
      const handle = await h.backend.launch(spec);
      const folders = h.layout.attempt(handle.runId, 1);
      await until(() => readIfThere(join(folders.control, 'go')), 'the program ran');
      await until(async () => (await statusOf(h.backend, handle)).phase === 'running', 'running');
      const { pid, ranks } = JSON.parse(await readFile(folders.wrapper, 'utf8'));
      const program = ranks[0].process;
      process.kill(pid, 'SIGKILL');
      await until(async () => (await statusOf(h.backend, handle)).phase === 'absent', 'absence');
      expect(await statusOf(h.backend, handle)).toMatchObject({ raw: 'gone', result: null, error: null });
      await until(
        async () =>
          (await readIfThere(`/proc/${program.pid}/cmdline`)) === undefined ||
          (await readIfThere(`/proc/${program.pid}/cmdline`)) === '',
        'the program died with its wrapper',
      );
      await h.backend.cleanup(handle);
      await h.backend.cleanup(handle);
      expect(await findProcesses(mark)).toEqual([]);
      await h.backend.launch(spec);
      expect((await statusOf(h.backend, handle)).phase).toBe('absent');
    });

    it('kills a run wrapper that does not react', { timeout: 30_000 }, async () => {
      const mark = `stuck-${Math.random()}`;
      const spec = await h.spec({
        environment: { MARK: mark },
        command: sh('echo > "$GOLDFISH_CONTROL/go"; sleep 300'),
      });
      const handle = await h.backend.launch(spec);
      const folders = h.layout.attempt(handle.runId, 1);
      await until(() => readIfThere(join(folders.control, 'go')), 'the program ran');
      process.kill(JSON.parse(await readFile(folders.wrapper, 'utf8')).pid, 'SIGSTOP');
      await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
      await until(async () => (await statusOf(h.backend, handle)).phase === 'absent', 'absence');
      await until(async () => (await findProcesses(mark)).length === 0, 'nothing left');
    });

    it('does not start a program that was to be stopped before it started', async () => {
      const spec = await h.spec({ command: sh('echo ran > "$GOLDFISH_CHECKPOINTS/count"') });
      const handle = { backend: 'process', runId: spec.runId, attempt: 1, externalId: 'x', data: {} };
      expect(await statusOf(h.backend, handle)).toMatchObject({ phase: 'absent', raw: 'not started' });
      await h.backend.terminate(handle, { graceSeconds: 1, reason: 'cancel' });
      await h.backend.launch(spec);
      const result = await endOf(h.backend, handle);
      expect(result).toMatchObject({ started: false, stoppedBy: 'cancel', exitCode: null, signal: null });
      expect(await readdir(spec.checkpointsDir)).toEqual([]);
    });

    it('cleans up a running attempt, and an attempt that never was', async () => {
      const mark = `cleaned-${Math.random()}`;
      const handle = await h.backend.launch(
        await h.spec({ environment: { MARK: mark }, command: sh('setsid sleep 300 & sleep 300') }),
      );
      await until(async () => (await findProcesses(mark)).length > 0, 'the program ran');
      await h.backend.cleanup(handle);
      expect(await findProcesses(mark)).toEqual([]);
      expect(await readdir(h.layout.attempt(handle.runId, 1).dir)).not.toContain('tmp');
      await h.backend.cleanup({
        backend: 'process',
        runId: 'stage-ffffffffffff',
        attempt: 1,
        externalId: 'x',
        data: {},
      });
    });

    it('pokes the wake socket at start and end, and does not mind when nobody listens', async () => {
      const path = join(h.outside, 'w.sock');
      const pokes: string[] = [];
      const server = createServer((socket) => socket.on('data', (data) => pokes.push(`${data}`)));
      await new Promise<void>((resolve) => server.listen(path, resolve));
      await h.run({ command: ['true'], wakeSocket: path });
      await until(async () => pokes.length === 2, 'two pokes');
      expect(pokes).toEqual(['wake\n', 'wake\n']);
      server.close();
      expect(
        (await h.run({ command: ['true'], wakeSocket: join(h.outside, 'nobody.sock') })).result.exitCode,
      ).toBe(0);
      expect((await h.run({ command: ['true'], wakeSocket: `/${'x'.repeat(200)}` })).result.exitCode).toBe(0);
    });

    it('tells a missing, an unreadable and a garbled result apart', async () => {
      const { handle } = await h.run({ command: ['true'] });
      const file = h.layout.attempt(handle.runId, 1).result;
      const whole = await readFile(file, 'utf8');
      for (const [text, detail] of [
        ['{"schema": 1, "ru', 'damaged'],
        ['', 'damaged'],
        [whole.replace('"exitCode": 0', '"exitCode": null'), 'damaged'],
        [whole.replace('"attempt": 1', '"attempt": 2'), 'another run or attempt'],
        [whole.replace(handle.runId, 'stage-eeeeeeeeeeee'), 'another run or attempt'],
      ] as const) {
        await writeFile(file, text);
        const status = await statusOf(h.backend, handle);
        expect(status).toMatchObject({
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
      // The wrapper lives a moment longer than its result.
      await until(async () => (await statusOf(h.backend, handle)).phase !== 'running', 'its end');
      expect(await statusOf(h.backend, handle)).toMatchObject({ phase: 'absent', result: null });
    });
  });
}
