import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { endOf, readIfThere, until } from './backend-harness.ts';
import { type Get, GO_AND_WAIT, py, sh } from './run-backend.ts';

export function stopsOf(get: Get): void {
  describe('a stop', () => {
    it('lets a program that handles TERM finish in its own way', async () => {
      const h = get();
      const { handle } = await h.start({
        command: py(`
import os, signal, sys, time
def end(*_):
    print('saving', flush=True); time.sleep(0.1); print('saved', flush=True); sys.exit(7)
signal.signal(signal.SIGTERM, end)
open(os.environ['GOLDFISH_CONTROL'] + '/go', 'w').write('x')
time.sleep(300)
`),
      });
      await h.ready(handle);
      await h.backend.terminate(handle, { graceSeconds: 20, reason: 'monitor' });
      expect(await endOf(h.backend, handle)).toMatchObject({
        exitCode: 7,
        signal: null,
        stoppedBy: 'monitor',
        lost: false,
      });
      expect(await h.log(handle)).toEqual(['saving', 'saved']);
    });

    it('kills a program and its daemons that ignore TERM when the grace period is over', async () => {
      const h = get();
      const { handle } = await h.start({
        command: sh(
          'trap "" TERM; setsid sh -c "trap \\"\\" TERM; sleep 300; sleep 300" & echo > "$GOLDFISH_CONTROL/go"; while :; do sleep 1; done',
        ),
      });
      await h.ready(handle);
      const began = performance.now();
      await h.backend.terminate(handle, { graceSeconds: 0.5, reason: 'cancel' });
      expect(await endOf(h.backend, handle)).toMatchObject({
        started: true,
        exitCode: null,
        signal: 'SIGKILL',
        stoppedBy: 'cancel',
        oom: false,
        lost: false,
      });
      expect(performance.now() - began).toBeGreaterThan(450);
      expect(performance.now() - began).toBeLessThan(20_000);
      await h.backend.cleanup(handle);
      expect(await h.remains(handle)).toEqual([]);
    });

    it('says so in the control folder, and gives who watches it the grace period before TERM', async () => {
      const h = get();
      const { handle } = await h.start({
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
      await h.ready(handle);
      await h.backend.terminate(handle, { graceSeconds: 20, reason: 'cancel' });
      expect(await endOf(h.backend, handle)).toMatchObject({ exitCode: 0, stoppedBy: 'cancel' });
      expect(await h.log(handle)).toEqual(['ended by itself']);
      expect(await readFile(h.layout.attempt(handle.runId, 1).stop, 'utf8')).toBe('cancel\n');
    });

    it('comes at the deadline without anybody looking', async () => {
      const h = get();
      const { handle } = await h.start({
        command: sh('echo on; sleep 300'),
        timeoutSeconds: 0.5,
        stopGraceSeconds: 20,
      });
      const file = h.layout.attempt(handle.runId, 1).result;
      const result = JSON.parse(await until(() => readIfThere(file), 'the result file'));
      expect(result).toMatchObject({ stoppedBy: 'timeout', exitCode: null, oom: false, lost: false });
    });

    it('keeps its first reason and says whose fault it was', async () => {
      const h = get();
      const { handle } = await h.start({ command: sh(`trap "" TERM; ${GO_AND_WAIT}; sleep 300`) });
      await h.ready(handle);
      const because = { rank: 0, message: 'Rank 0 gave no sign of life for 5 s.' };
      await h.backend.terminate(handle, { graceSeconds: 60, reason: 'heartbeat', because });
      const { stop } = h.layout.attempt(handle.runId, 1);
      await until(() => readIfThere(stop), 'the stop file');
      // Somebody who cannot wait: the reason stays, the grace period ends.
      await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
      expect(await endOf(h.backend, handle)).toMatchObject({
        stoppedBy: 'heartbeat',
        signal: 'SIGKILL',
        rank: 0,
        error: because.message,
      });
    });

    it('changes nothing for an attempt that is over, and asks nothing of one that never was', async () => {
      const h = get();
      const { handle, result } = await h.run({ command: sh('exit 3') });
      await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
      expect(await endOf(h.backend, handle)).toEqual(result);
      const nobody = { ...handle, runId: 'stage-ffffffffffff' };
      await h.backend.terminate(nobody, { graceSeconds: 0, reason: 'cancel' });
    });
  });
}
