import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Resources } from '../../src/backends/port.ts';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { endOf, findProcesses, readIfThere, statusOf, until } from '../contracts/backend-harness.ts';
import { HAS_BUBBLEWRAP, NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';

const sh = (script: string): string[] => ['/bin/sh', '-c', script];
const py = (script: string): string[] => ['python', '-c', script];
const ranks = (nodes: number): { resources: Resources } => ({
  resources: { nodes, memoryBytes: null, cpus: null, gpus: 0, pidsLimit: null, network: true },
});

for (const mode of ['none', 'bubblewrap'] as const) {
  const title = mode === 'none' ? 'ranks without a sandbox' : `ranks in bubblewrap${NEEDS_BUBBLEWRAP}`;
  describe.skipIf(mode === 'bubblewrap' && !HAS_BUBBLEWRAP)(title, () => {
    let h: Harness;
    beforeAll(async () => {
      h = await openHarness(mode);
    });
    afterAll(() => h.close());

    it('each know who they are and where to meet, a single one too', async () => {
      const show =
        'import os; print(*[os.environ["GOLDFISH_" + n] for n in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")])';
      const alone = await h.run({ command: py(show) });
      expect((await h.log(alone.handle))[0]).toMatch(/^0 1 127\.0\.0\.1 \d+$/);
      const { handle, result } = await h.run({ ...ranks(3), command: py(show) });
      expect(result).toMatchObject({ exitCode: 0, rank: 0, error: null });
      const lines = (await h.log(handle)).sort();
      const port = lines[0]!.split(' ').at(-1);
      expect(Number(port)).toBeGreaterThan(1023);
      expect(lines).toEqual([0, 1, 2].map((rank) => `[rank ${rank}] ${rank} 3 127.0.0.1 ${port}`));
    });

    it('meet at the address they are given', async () => {
      const { handle, result } = await h.run({
        ...ranks(3),
        command: py(`
import os, socket, time
rank, size = int(os.environ['GOLDFISH_RANK']), int(os.environ['GOLDFISH_WORLD_SIZE'])
place = (os.environ['GOLDFISH_MASTER_ADDR'], int(os.environ['GOLDFISH_MASTER_PORT']))
if rank == 0:
    server = socket.create_server(place)
    print('sum', sum(int(server.accept()[0].recv(10)) for _ in range(size - 1)))
else:
    for _ in range(500):
        try: s = socket.create_connection(place); break
        except OSError: time.sleep(0.02)
    s.sendall(b'%d' % rank)
`),
      });
      expect(result.exitCode).toBe(0);
      expect(await h.log(handle)).toContain('[rank 0] sum 3');
    });

    it('have folders of their own; the outputs are those of rank 0', async () => {
      const { handle, result } = await h.run({
        ...ranks(2),
        outputs: [
          { name: 'model', type: 'directory', fileName: 'model' },
          { name: 'report', type: 'json', fileName: 'report.json' },
        ],
        command: py(`
import json, os
rank = os.environ['GOLDFISH_RANK']
told = json.load(open(os.environ['GOLDFISH_CONFIG']))['outputs']['report']['path']
assert told == os.environ['GOLDFISH_OUTPUTS'] + '/report.json'
open(told, 'w').write('"%s"' % rank)
open(os.environ['GOLDFISH_OUTPUTS'] + '/model/w', 'w').write(rank)
open(os.environ['GOLDFISH_CONTROL'] + '/heartbeat', 'w').close()
open(os.environ['TMPDIR'] + '/scratch', 'w').write(rank)
open(os.environ['GOLDFISH_CHECKPOINTS'] + '/rank' + rank, 'w').write(rank)
`),
      });
      expect(result.exitCode).toBe(0);
      const folders = h.layout.attempt(handle.runId, 1);
      expect(await readFile(join(folders.outputs, 'report.json'), 'utf8')).toBe('"0"');
      for (const rank of [0, 1]) {
        const own = folders.rank(rank);
        expect(await readFile(join(own.outputs, 'model', 'w'), 'utf8')).toBe(`${rank}`);
        expect(await readIfThere(own.heartbeat)).toBe('');
        expect(await readIfThere(join(own.temp, 'scratch'))).toBe(`${rank}`);
      }
      expect((await readdir(folders.checkpoints)).sort()).toEqual(['rank0', 'rank1']);
      await h.backend.cleanup(handle);
      expect(await readIfThere(join(folders.rank(1).temp, 'scratch'))).toBeUndefined();
    });

    if (mode === 'bubblewrap') {
      it('cannot write to each other’s folders', async () => {
        const spec = await h.spec(ranks(2));
        const folders = h.layout.attempt(spec.runId, 1);
        const places = [folders.rank(0).control, folders.rank(1).control];
        const { handle } = await h.run({
          ...ranks(2),
          runId: spec.runId,
          command: [
            'python',
            '-c',
            'import os, sys\nfor p in sys.argv[1:]:\n    try: open(p + "/x", "w"); print("wrote", p == os.environ["GOLDFISH_CONTROL"])\n    except OSError: print("refused")',
            ...places,
          ],
        });
        expect((await h.log(handle)).sort()).toEqual([
          '[rank 0] refused',
          '[rank 0] wrote True',
          '[rank 1] refused',
          '[rank 1] wrote True',
        ]);
      });
    }

    it('are waited for while one is slow', async () => {
      const spec = await h.spec({
        ...ranks(3),
        command: sh(
          'if [ $GOLDFISH_RANK = 1 ]; then until [ -e "$GOLDFISH_CONTROL/go" ]; do sleep 0.05; done; fi; echo done',
        ),
      });
      const handle = await h.backend.launch(spec);
      await until(
        async () => (await statusOf(h.backend, handle)).endedRanks?.join() === '0,2',
        'the quick ranks ended',
      );
      expect(await statusOf(h.backend, handle)).toMatchObject({ phase: 'running', result: null });
      const { control } = h.layout.attempt(handle.runId, 1).rank(1);
      spawnSync('touch', [join(control, 'go')]);
      expect(await endOf(h.backend, handle)).toMatchObject({ exitCode: 0, rank: 0, stoppedBy: null });
    });

    it.each([
      ['an exit code', 'exit 3', { exitCode: 3, signal: null }, 'ended with exit code 3'],
      ['a signal', 'kill -SEGV $$', { exitCode: null, signal: 'SIGSEGV' }, 'died by SIGSEGV'],
    ] as const)('end together when one fails by %s, and the first is named', async (_, end, facts, words) => {
      const mark = `ranks-${Math.random()}`;
      const { result, handle } = await h.run({
        ...ranks(3),
        environment: { MARK: mark },
        command: sh(
          // It fails once the others listen.
          `heard="$GOLDFISH_CHECKPOINTS/heard"; if [ $GOLDFISH_RANK = 2 ]; then until [ -e "$heard-0" ] && [ -e "$heard-1" ]; do sleep 0.05; done; ${end}; fi; trap 'echo asked; exit 9' TERM; setsid sleep 300 & : > "$heard-$GOLDFISH_RANK"; while :; do sleep 0.05; done`,
        ),
      });
      expect(result).toMatchObject({
        started: true,
        ...facts,
        rank: 2,
        stoppedBy: null,
        error: `Rank 2 ${words}; the others were stopped.`,
      });
      const log = await h.log(handle);
      expect(log).toEqual(expect.arrayContaining(['[rank 0] asked', '[rank 1] asked']));
      expect(await findProcesses(mark)).toEqual([]);
      expect(await readIfThere(h.layout.attempt(handle.runId, 1).stop)).toBe('rank\n');
    });

    it('that ignore TERM are killed when the grace period is over', async () => {
      const mark = `deaf-${Math.random()}`;
      const { result } = await h.run({
        ...ranks(2),
        stopGraceSeconds: 0.5,
        environment: { MARK: mark },
        command: sh(
          'trap "" TERM; echo > "$GOLDFISH_CHECKPOINTS/$GOLDFISH_RANK"; [ $GOLDFISH_RANK = 1 ] || while :; do sleep 0.1; done; until [ -e "$GOLDFISH_CHECKPOINTS/0" ]; do sleep 0.05; done; exit 1',
        ),
      });
      expect(result).toMatchObject({ rank: 1, exitCode: 1, error: expect.stringContaining('were stopped') });
      expect(await findProcesses(mark)).toEqual([]);
    });

    it('do not run where one of them cannot be started', async () => {
      const { result } = await h.run({ ...ranks(3), command: ['no-such-program-here'] });
      expect(result).toMatchObject({ started: false, exitCode: null });
      expect(result.error).toContain('The program "no-such-program-here" was not found.');
    });

    it('are all asked to stop, and the one whose heartbeat failed is named', async () => {
      const spec = await h.spec({
        ...ranks(3),
        command: sh('echo > "$GOLDFISH_CONTROL/go"; while :; do sleep 0.05; done'),
      });
      const handle = await h.backend.launch(spec);
      const folders = h.layout.attempt(handle.runId, 1);
      for (const rank of [0, 1, 2]) {
        await until(() => readIfThere(join(folders.rank(rank).control, 'go')), `rank ${rank} ran`);
      }
      const because = { rank: 1, message: 'The heartbeat of rank 1 stopped.' };
      await h.backend.terminate(handle, { graceSeconds: 5, reason: 'heartbeat', because });
      expect(await endOf(h.backend, handle)).toMatchObject({
        stoppedBy: 'heartbeat',
        rank: 1,
        signal: 'SIGTERM',
        error: 'The heartbeat of rank 1 stopped.',
      });
      for (const rank of [0, 1, 2]) {
        expect(await readIfThere(join(folders.rank(rank).control, 'stop'))).toBe('heartbeat\n');
      }
    });

    it('keep their lines apart, long ones too, and hide the secrets of all', async () => {
      const { handle } = await h.run({
        ...ranks(4),
        secrets: { TOKEN: 'very-secret-token' },
        command: py(
          'import os, sys\nfor i in range(200): print(os.environ["TOKEN"], i, flush=True)\nprint("x" * 40000 + os.environ["TOKEN"])\nsys.stderr.write("last")',
        ),
      });
      const log = await h.log(handle);
      for (const rank of [0, 1, 2, 3]) {
        const own = log.filter((line) => line.startsWith(`[rank ${rank}] `)).map((line) => line.slice(9));
        expect(own.filter((line) => line.startsWith('***'))).toEqual(
          Array.from({ length: 200 }, (_, i) => `*** ${i}`),
        );
        const long = own.filter((line) => line.startsWith('x') || line === '***');
        expect(long.join('')).toBe(`${'x'.repeat(40000)}***`);
        expect(own).toContain('last');
      }
      expect(log.join('')).not.toContain('secret');
    });

    it('are refused in numbers that make no sense here', async () => {
      expect(h.backend.capabilities.maxNodes).toBe(64);
      for (const nodes of [0, -1, 1.5, 65]) {
        await expect(h.spec(ranks(nodes)).then((spec) => h.backend.launch(spec))).rejects.toMatchObject({
          code: 'NOT_SUPPORTED',
          message: `The process backend runs 1 to 64 ranks, not ${nodes}.`,
        });
      }
    });

    it('run as many as 64, and leave nothing behind', { timeout: 120_000 }, async () => {
      const { result, handle } = await h.run({ ...ranks(64), command: sh('echo here') });
      expect(result).toMatchObject({ exitCode: 0, error: null });
      expect(new Set(await h.log(handle)).size).toBe(64);
    });
  });
}
