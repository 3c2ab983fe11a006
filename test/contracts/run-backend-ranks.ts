import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { endOf, until } from './backend-harness.ts';
import { type Get, py, sh } from './run-backend.ts';

/** Tests of several ranks; a backend that places one only says so in its capabilities. */
export function ranksOf(get: Get): void {
  const resources = async (nodes: number) => ({ ...(await get().spec()).resources, nodes });
  const several = (): boolean => get().backend.capabilities.maxNodes >= 3;

  describe('the ranks of a run', () => {
    it('know their number and reach each other', async () => {
      if (!several()) return;
      const h = get();
      const { handle, result } = await h.run({
        resources: await resources(3),
        command: py(`
import os, socket, time
rank, size = int(os.environ['GOLDFISH_RANK']), int(os.environ['GOLDFISH_WORLD_SIZE'])
where = (os.environ['GOLDFISH_MASTER_ADDR'], int(os.environ['GOLDFISH_MASTER_PORT']))
if rank == 0:
    server = socket.create_server(where)
    names = sorted(server.accept()[0].recv(100).decode() for _ in range(size - 1))
    print('met', names)
else:
    for _ in range(500):
        try:
            socket.create_connection(where).sendall(b'rank %d' % rank); break
        except OSError: time.sleep(0.05)
`),
      });
      expect(result).toMatchObject({ exitCode: 0, rank: 0, error: null });
      expect(await h.log(handle)).toEqual(["[rank 0] met ['rank 1', 'rank 2']"]);
    });

    it('have control folders and heartbeats of their own; outputs are those of rank 0', async () => {
      if (!several()) return;
      const h = get();
      const { handle, result } = await h.run({
        resources: await resources(3),
        command: sh(
          'echo $GOLDFISH_RANK > "$GOLDFISH_OUTPUTS/o"; : > "$GOLDFISH_CONTROL/heartbeat"; echo $GOLDFISH_RANK >> "$GOLDFISH_CHECKPOINTS/all"',
        ),
      });
      expect(result.exitCode).toBe(0);
      const folders = h.layout.attempt(handle.runId, 1);
      expect(await readFile(join(folders.outputs, 'o'), 'utf8')).toBe('0\n');
      for (const rank of [0, 1, 2]) {
        await stat(folders.rank(rank).heartbeat);
        expect(await readFile(join(folders.rank(rank).outputs, 'o'), 'utf8')).toBe(`${rank}\n`);
      }
      const all = await readFile(join(folders.checkpoints, 'all'), 'utf8');
      expect(all.trim().split('\n').sort()).toEqual(['0', '1', '2']);
      await h.backend.cleanup(handle);
      expect(await h.remains(handle)).toEqual([]);
    });

    it('all end when one fails, and the result names it', async () => {
      if (!several()) return;
      const h = get();
      const { handle, result } = await h.run({
        resources: await resources(3),
        command: sh(
          'echo > "$GOLDFISH_CHECKPOINTS/$GOLDFISH_RANK"; until [ -e "$GOLDFISH_CHECKPOINTS/0" ] && [ -e "$GOLDFISH_CHECKPOINTS/1" ] && [ -e "$GOLDFISH_CHECKPOINTS/2" ]; do sleep 0.05; done; [ $GOLDFISH_RANK = 1 ] && exit 9; sleep 300',
        ),
      });
      expect(result).toMatchObject({ started: true, exitCode: 9, rank: 1, stoppedBy: null });
      expect(result.error).toBe('Rank 1 ended with exit code 9; the others were stopped.');
      await h.backend.cleanup(handle);
      expect(await h.remains(handle)).toEqual([]);
    });

    it('are all waited for: a slow one is part of the run', async () => {
      if (!several()) return;
      const h = get();
      const { result, spec } = await h.run({
        resources: await resources(2),
        command: sh('[ $GOLDFISH_RANK = 1 ] && sleep 1; echo $GOLDFISH_RANK >> "$GOLDFISH_CHECKPOINTS/done"'),
      });
      expect(result).toMatchObject({ exitCode: 0, rank: 0 });
      expect(await readFile(join(spec.checkpointsDir, 'done'), 'utf8')).toBe('0\n1\n');
    });

    it('are all stopped together, and a silent one can be named as the reason', async () => {
      if (!several()) return;
      const h = get();
      const { handle, spec } = await h.start({
        resources: await resources(3),
        command: sh('echo > "$GOLDFISH_CHECKPOINTS/$GOLDFISH_RANK"; sleep 300'),
      });
      for (const rank of [0, 1, 2]) {
        await until(() => stat(join(spec.checkpointsDir, `${rank}`)).catch(() => undefined), 'all run');
      }
      const because = { rank: 2, message: 'Rank 2 gave no sign of life for 5 s.' };
      await h.backend.terminate(handle, { graceSeconds: 5, reason: 'heartbeat', because });
      expect(await endOf(h.backend, handle)).toMatchObject({
        stoppedBy: 'heartbeat',
        rank: 2,
        error: because.message,
      });
      await h.backend.cleanup(handle);
      expect(await h.remains(handle)).toEqual([]);
    });
  });
}
