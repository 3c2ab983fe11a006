import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { wrapperRequest } from '../../src/backends/start-wrapper.ts';
import type { RankSpec } from '../../src/backends/wrapper-spec.ts';
import { assetPath } from '../../src/core/assets.ts';
import { readIfThere, until } from '../contracts/backend-harness.ts';
import { requestStop } from '../support/containers.ts';
import { attemptFolder, startWrapper, wrapperLog, wrapperResult } from '../support/run-wrapper.ts';

const SOCKET = '/var/run/docker.sock';
const docker = new Docker({ socketPath: SOCKET });
const ready =
  existsSync(SOCKET) &&
  (await docker
    .listImages({ filters: { reference: [TEST_IMAGE] } })
    .then((images) => images.length > 0)
    .catch(() => false));

const INIT = ['python3', '-I', '-S', '-B', '/goldfish/container_init.py', '--'];
const sh = (script: string): string[] => ['/bin/sh', '-c', script];
const py = (script: string): string[] => ['python3', '-c', script];

type Box = {
  argv: string[];
  init?: boolean;
  memory?: number;
  gpus?: number;
  environment?: string[];
  engine?: string;
};

/** The engine behind another socket, as it is where it hears of a container's end before it hears of its memory. */
async function forgetfulEngine(path: string): Promise<{ close: () => Promise<void> }> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const engine = connect({ path: SOCKET, allowHalfOpen: true });
    const forget = new Transform({
      transform: (part: Buffer, _encoding, done) => {
        const told = part.toString('latin1').replace('"OOMKilled":true', '"OOMKilled":null');
        done(null, Buffer.from(told, 'latin1'));
      },
    });
    client.pipe(engine);
    engine.pipe(forget).pipe(client);
    for (const socket of [client, engine]) socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** What the docker backend is not needed for: the wrapper, container_init and a real engine alone. */
describe.skipIf(!ready)(
  `a container of a real engine${ready ? '' : ' (needs a container engine and the test image: GOLDFISH_SETUP=1 npm test)'}`,
  () => {
    let home: string;
    const made: Docker.Container[] = [];
    beforeAll(async () => {
      home = await mkdtemp(join(tmpdir(), 'goldfish-engine-'));
      await chmod(home, 0o711);
    });
    afterAll(async () => {
      await Promise.allSettled(made.map((container) => container.remove({ force: true })));
      await rm(home, { recursive: true, force: true });
    });

    const create = async (control: string, box: Box): Promise<RankSpec['program']> => {
      const { argv, init = true, memory = 0, gpus = 0, environment = [], engine = `unix://${SOCKET}` } = box;
      await chmod(control, 0o777);
      const [first = '', ...rest] = init ? [...INIT, ...argv] : argv;
      const container = await docker.createContainer({
        Image: TEST_IMAGE,
        User: '1000:1000',
        Entrypoint: [first],
        Cmd: rest,
        Env: ['GOLDFISH_CONTROL=/control', ...environment],
        OpenStdin: init,
        StdinOnce: init,
        AttachStdin: init,
        HostConfig: {
          Binds: [`${assetPath('runtime')}:/goldfish:ro`, `${control}:/control`],
          CapDrop: ['ALL'],
          NetworkMode: 'none',
          Memory: memory,
          MemorySwap: memory,
          LogConfig: { Type: 'none', Config: {} },
          DeviceRequests: gpus === 0 ? [] : [{ Driver: '', Count: gpus, Capabilities: [['gpu']] }],
        },
      });
      made.push(container);
      return { kind: 'container', engine, container: container.id, init };
    };
    const attempt = async (box: Box, graceSeconds = 1): Promise<{ dir: string; control: string }> => {
      const program = { current: null as RankSpec['program'] | null };
      const control = await mkdtemp(join(home, 'control-'));
      program.current = await create(control, box);
      const dir = await attemptFolder(home, [() => program.current!], { stopGraceSeconds: graceSeconds });
      return { dir, control };
    };
    const run = async (box: Box, secrets: Record<string, string> = {}) => {
      const { dir } = await attempt(box);
      await startWrapper(dir, wrapperRequest(secrets)).ended;
      return { result: await wrapperResult(dir), log: await wrapperLog(dir) };
    };

    it('is handed its secrets where the engine does not see them, and is redacted', async () => {
      const { result, log } = await run(
        {
          argv: py(
            'import os, sys; print(os.getuid(), os.environ["TOKEN"], repr(sys.stdin.read()), flush=True)\nfor n in ("mem", "environ"):\n    try: open("/proc/1/" + n, "rb").read(1); print("READ")\n    except OSError as e: print(type(e).__name__)\nsys.stderr.write("err")',
          ),
        },
        { TOKEN: 's3cr3t-value' },
      );
      expect(result).toMatchObject({ started: true, exitCode: 0, signal: null, lost: false, error: null });
      expect(log.filter((line) => line.startsWith('o'))).toEqual([
        "o 1000 *** ''",
        'o PermissionError',
        'o PermissionError',
      ]);
      expect(log).toContain('e err');
      expect(JSON.stringify(await made.at(-1)!.inspect())).not.toContain('s3cr3t');
    });

    it('tells exit codes and signals apart', async () => {
      const ends: unknown[] = [];
      for (const [script, init] of [
        ['exit 137', true],
        ['kill -KILL $$', true],
        ['kill -SEGV $$', true],
        ['exit 3', false],
        ['exit 137', false],
      ] as const) {
        const { result } = await run({ argv: sh(script), init });
        ends.push([script, result['exitCode'], result['signal'], result['lost']]);
      }
      expect(ends).toEqual([
        ['exit 137', 137, null, false],
        ['kill -KILL $$', null, 'SIGKILL', false],
        ['kill -SEGV $$', null, 'SIGSEGV', false],
        ['exit 3', 3, null, false],
        ['exit 137', null, 'SIGKILL', false],
      ]);
    });

    it('says why it could not be started: a missing program, a missing driver', async () => {
      expect((await run({ argv: ['no-such-program'] })).result).toMatchObject({
        started: false,
        error: 'The program "no-such-program" was not found.',
      });
      const plain = (await run({ argv: ['no-such-program'], init: false })).result;
      expect(plain).toMatchObject({ started: false, exitCode: null, lost: false });
      expect(plain['error']).toContain('no-such-program');
      const gpu = (await run({ argv: ['true'], gpus: 1 })).result;
      expect(gpu).toMatchObject({ started: false, error: expect.stringContaining('gpu') });
    });

    it('runs out of memory by the engine’s word only', async () => {
      const memory = 48 * 1024 * 1024;
      const eat = 'x = bytearray(200_000_000)';
      expect((await run({ argv: py(eat), memory })).result).toMatchObject({
        oom: true,
        signal: 'SIGKILL',
        exitCode: null,
      });
      const child = `import subprocess, sys; subprocess.run([sys.executable, '-c', '${eat}']); print('on')`;
      expect((await run({ argv: py(child), memory })).result).toMatchObject({ oom: false, exitCode: 0 });
    });

    it('runs out of memory by the kernel’s word where the engine missed it', async () => {
      const memory = 48 * 1024 * 1024;
      const forgetful = await forgetfulEngine(join(home, 'forgetful.sock'));
      try {
        const engine = `unix://${join(home, 'forgetful.sock')}`;
        const eaten = await run({ argv: py('x = bytearray(200_000_000)'), memory, engine });
        expect(eaten.result).toMatchObject({ oom: true, signal: 'SIGKILL', exitCode: null });
        const killed = await run({ argv: sh('kill -KILL $$'), memory, engine });
        expect(killed.result).toMatchObject({ oom: false, signal: 'SIGKILL' });
      } finally {
        await forgetful.close();
      }
    });

    it('is asked to end with all it started, and killed where it is deaf', async () => {
      for (const [trap, expected] of [
        ['trap "echo saved; exit 7" TERM', { exitCode: 7, signal: null }],
        ['trap "" TERM', { exitCode: null, signal: 'SIGKILL' }],
      ] as const) {
        const { dir, control } = await attempt({
          argv: sh(`${trap}; echo > /control/go; while :; do sleep 0.1; done`),
        });
        const wrapper = startWrapper(dir);
        await until(() => readIfThere(join(control, 'go')), 'the program ran');
        await requestStop(dir, 1);
        process.kill(wrapper.pid, 'SIGTERM');
        await wrapper.ended;
        expect(await wrapperResult(dir)).toMatchObject({ stoppedBy: 'cancel', lost: false, ...expected });
        expect((await made.at(-1)!.inspect()).State.Running).toBe(false);
      }
    });

    it('is lost when somebody else removes it', async () => {
      const { dir, control } = await attempt({ argv: sh('echo > /control/go; sleep 300') });
      const wrapper = startWrapper(dir);
      await until(() => readIfThere(join(control, 'go')), 'the program ran');
      await made.at(-1)!.remove({ force: true });
      await wrapper.ended;
      expect(await wrapperResult(dir)).toMatchObject({
        started: true,
        lost: true,
        exitCode: null,
        signal: null,
      });
    });

    it('carries a flood completely and in order', { timeout: 120_000 }, async () => {
      const lines = 200_000;
      const { result, log } = await run({
        argv: py(
          `import sys\nw = sys.stdout.write\nfor i in range(0, ${lines}, 1000): w("".join("%07d %s\\n" % (j, "x" * 92) for j in range(i, i + 1000)))`,
        ),
      });
      const [started, ended] = ['startedAt', 'endedAt'].map((name) => Date.parse(`${result[name]}`));
      console.log(`${Math.round((lines * 101) / 1e3 / (ended! - started!))} MB/s from a real engine`);
      expect(result).toMatchObject({ exitCode: 0, lost: false });
      expect(log).toHaveLength(lines);
      expect(log.findIndex((line, i) => !line.startsWith(`o ${`${i}`.padStart(7, '0')} x`))).toBe(-1);
    });
  },
);
