import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { wrapperRequest } from '../../src/backends/start-wrapper.ts';
import { assetPath } from '../../src/core/assets.ts';
import { findProcesses, readIfThere, until } from '../contracts/backend-harness.ts';
import {
  CONTAINER_PYTHON,
  type Containers,
  INIT,
  openContainers,
  py,
  requestStop,
  sh,
} from '../support/containers.ts';
import { CONTAIN_HINT, canContain, startFakeEngine } from '../support/fake-engine.ts';
import { attemptFolder, startWrapper, wrapperLog, wrapperResult } from '../support/run-wrapper.ts';

/** The real engine is what the docker backend is tested with; here it does what no real one does on demand. */
describe.skipIf(!canContain)(
  `a container under the run wrapper${canContain ? '' : ` ${CONTAIN_HINT}`}`,
  () => {
    let box: Containers;
    beforeEach(async () => {
      box = await openContainers();
    });
    afterEach(() => box.close());

    it('prints to the log, gets its secrets through the pipe, has an empty stdin, and ends well', async () => {
      const { result, log, dir } = await box.run(
        {
          argv: py(
            'import os,sys; print("token", os.environ["TOKEN"], os.environ["PLAIN"]); print(repr(sys.stdin.read())); sys.stderr.write("err\\n"); sys.stdout.write("no newline")',
          ),
          environment: { PLAIN: 'ü' },
        },
        { TOKEN: 's3cr3t-value', LINES: 'a\nb"ü' },
      );
      expect(result).toMatchObject({
        started: true,
        exitCode: 0,
        signal: null,
        oom: false,
        lost: false,
        rank: 0,
        error: null,
        stoppedBy: null,
        ranSeconds: expect.any(Number),
        maxRssBytes: null,
      });
      expect(result['startedAt']).not.toBeNull();
      expect(log.filter((line) => line.startsWith('o'))).toEqual(['o token *** ü', "o ''", 'o no newline']);
      expect(log).toContain('e err');
      for (const file of ['spec.json', 'wrapper.json', 'exit.json', 'log/000000000000.log']) {
        expect(await readFile(join(dir, file), 'utf8')).not.toContain('s3cr3t');
      }
      expect(box.engine.calls).toEqual(expect.arrayContaining(['POST attach', 'POST start', 'GET json']));
    });

    it.each([1, 3, 126, 127, 137, 143, 255])('keeps exit code %i apart from signals', async (code) => {
      const { result } = await box.run({ argv: sh(`exit ${code}`) });
      expect(result).toMatchObject({ started: true, exitCode: code, signal: null, lost: false });
    });

    it.each(['SEGV', 'KILL', 'TERM'])('reports death by SIG%s as that signal', async (name) => {
      const { result } = await box.run({ argv: sh(`kill -${name} $$`) });
      expect(result).toMatchObject({ exitCode: null, signal: `SIG${name}`, lost: false, oom: false });
    });

    it('without our first process reads numbers above 128 as signals, as far as they are some', async () => {
      const ends = await Promise.all(
        [0, 3, 128, 137, 139, 255].map(async (code) => {
          const { result } = await box.run({ argv: sh(`exit ${code}`), init: false });
          return [code, result['exitCode'], result['signal']];
        }),
      );
      expect(ends).toEqual([
        [0, 0, null],
        [3, 3, null],
        [128, 128, null],
        [137, null, 'SIGKILL'],
        [139, null, 'SIGSEGV'],
        [255, 255, null],
      ]);
    });

    it('says in a sentence why a program could not be started', async () => {
      expect((await box.run({ argv: ['no-such-program-here'] })).result).toMatchObject({
        started: false,
        exitCode: null,
        startedAt: null,
        error: 'The program "no-such-program-here" was not found.',
      });
      const plain = join(box.home, 'plain.txt');
      await writeFile(plain, 'x');
      expect((await box.run({ argv: [plain] })).result).toMatchObject({
        started: false,
        error: `"${plain}" is not an executable file, or may not be executed.`,
      });
    });

    it('repeats what the engine says where the engine cannot start it', async () => {
      const missing = await box.run({ argv: ['/no/such/python'], init: false });
      expect(missing.result).toMatchObject({
        started: false,
        exitCode: null,
        signal: null,
        lost: false,
        error:
          'failed to create shim task: OCI runtime create failed: exec: "/no/such/python": stat /no/such/python: no such file or directory: unknown.',
      });
      box.engine.refuseStart = {
        status: 500,
        message: 'could not select device driver "" with capabilities: [[gpu]]',
      };
      expect((await box.run({ argv: ['true'] })).result).toMatchObject({
        started: false,
        error: 'could not select device driver "" with capabilities: [[gpu]].',
      });
    });

    it('takes only the engine’s word for memory, and only where the program did not end well', async () => {
      for (const [script, init, oom] of [
        ['exit 0', true, false],
        ['exit 1', true, true],
        ['kill -KILL $$', true, true],
        ['exit 137', false, true],
        ['exit 0', false, false],
      ] as const) {
        const made = await box.create([{ argv: sh(script), init }]);
        box.engine.state(made.names[0]!).oomKilled = true;
        await startWrapper(made.dir).ended;
        expect(await wrapperResult(made.dir), `${script} ${init}`).toMatchObject({ oom });
      }
      const quiet = await box.run({ argv: sh('kill -KILL $$') });
      expect(quiet.result).toMatchObject({ oom: false, signal: 'SIGKILL' });
    });

    it('waits a moment for that word where the program was killed', async () => {
      for (const init of [true, false]) {
        const made = await box.create([{ argv: init ? sh('kill -KILL $$') : sh('exit 137'), init }]);
        const { ended } = startWrapper(made.dir);
        const state = box.engine.state(made.names[0]!);
        const looks = (): number => box.engine.calls.filter((call) => call === 'GET json').length;
        await until(async () => state.started && !state.running, 'its end');
        const before = looks();
        await until(async () => looks() >= before + 2, 'another look at it');
        state.oomKilled = true;
        await ended;
        expect(await wrapperResult(made.dir)).toMatchObject({ oom: true, signal: 'SIGKILL' });
      }
    });

    it('cannot be deceived by a program that prints what looks like the last record', async () => {
      const { result, log } = await box.run({
        argv: py(
          'print("\\x1e" + "0" * 32 + " {\\"status\\": 0, \\"terminated\\": false}"); raise SystemExit(3)',
        ),
      });
      expect(result).toMatchObject({ exitCode: 3 });
      expect(log).toEqual([`o \x1e${'0'.repeat(32)} {"status": 0, "terminated": false}`]);
    });

    it('hides secrets and cuts no character, however the engine cuts its frames', async () => {
      const secret = 'a-secret-of-some-length';
      for (const [frameBytes, writeBytes] of [
        [1, 1],
        [3, 7],
        [7, undefined],
      ] as const) {
        Object.assign(box.engine, { frameBytes, writeBytes });
        const { result, log } = await box.run(
          { argv: py('import os\nfor i in range(20): print("é🐟", os.environ["TOKEN"], i, "end\\x1e")') },
          { TOKEN: secret },
        );
        expect(result).toMatchObject({ exitCode: 0 });
        expect(log).toEqual(Array.from({ length: 20 }, (_, i) => `o é🐟 *** ${i} end\x1e`));
      }
    });

    it('passes TERM on to everybody in the container and lets the program end in its own way', async () => {
      const made = await box.create(
        [
          {
            argv: py(`
import os, signal, subprocess, sys, time
control = os.environ['GOLDFISH_CONTROL']
helper = subprocess.Popen(['/bin/sh', '-c', 'trap "echo helper; exit" TERM; echo > "$GOLDFISH_CONTROL/helper"; while :; do sleep 0.05; done'], start_new_session=True)
def end(*_):
    helper.wait(); print('saved', flush=True); sys.exit(7)
signal.signal(signal.SIGTERM, end)
open(control + '/go', 'w').write('x')
time.sleep(300)
`),
          },
        ],
        { stopGraceSeconds: 20 },
      );
      const wrapper = startWrapper(made.dir);
      await until(() => readIfThere(join(made.control, 'go')), 'the program ran');
      await until(() => readIfThere(join(made.control, 'helper')), 'the helper ran');
      await requestStop(made.dir, 20);
      process.kill(wrapper.pid, 'SIGTERM');
      await wrapper.ended;
      expect(await wrapperResult(made.dir)).toMatchObject({ exitCode: 7, stoppedBy: 'cancel', lost: false });
      const log = await wrapperLog(made.dir);
      expect(log.filter((line) => line.startsWith('o'))).toEqual(['o helper', 'o saved']);
      expect(await readIfThere(join(made.control, 'stop'))).toBe('cancel\n');
    });

    it('kills a container whose program ignores TERM when the grace period is over', async () => {
      const mark = `deaf-${Math.random()}`;
      const deaf = sh('trap "" TERM; echo > "$GOLDFISH_CONTROL/go"; while :; do sleep 0.1; done');
      for (const init of [true, false]) {
        const made = await box.create([{ argv: deaf, init, environment: { MARK: mark } }]);
        const wrapper = startWrapper(made.dir);
        await until(() => readIfThere(join(made.control, 'go')), 'the program ran');
        const began = performance.now();
        await requestStop(made.dir, 0.5);
        process.kill(wrapper.pid, 'SIGTERM');
        await wrapper.ended;
        expect(performance.now() - began).toBeGreaterThan(450);
        expect(await wrapperResult(made.dir)).toMatchObject({
          exitCode: null,
          signal: 'SIGKILL',
          stoppedBy: 'cancel',
          lost: false,
        });
        expect(await findProcesses(mark)).toEqual([]);
      }
    });

    it('keeps the deadline', async () => {
      const { result } = await box.run(
        { argv: sh('sleep 300') },
        {},
        { timeoutSeconds: 1, stopGraceSeconds: 20 },
      );
      expect(result).toMatchObject({ started: true, signal: 'SIGTERM', stoppedBy: 'timeout', lost: false });
    });

    it('ends helpers with the program', async () => {
      const mark = `left-${Math.random()}`;
      const { result, log } = await box.run({
        argv: sh('setsid sleep 300 & (setsid sh -c "(sleep 300 &) ; sleep 300" &) ; echo on; exit 4'),
        environment: { MARK: mark },
      });
      expect(result).toMatchObject({ exitCode: 4 });
      expect(log).toEqual(['o on']);
      expect(await findProcesses(mark)).toEqual([]);
    });

    it('does not start what was to be stopped before it started', async () => {
      const made = await box.create([{ argv: ['true'] }]);
      await requestStop(made.dir);
      await startWrapper(made.dir).ended;
      expect(await wrapperResult(made.dir)).toMatchObject({ started: false, stoppedBy: 'cancel' });
      expect(box.engine.calls).toEqual([]);
    });

    it('keeps the program from looking into the process that knows the nonce', async () => {
      const init = join(box.home, 'init.py');
      await writeFile(init, await readFile(assetPath('runtime/container_init.py'), 'utf8'));
      await chmod(box.home, 0o755);
      const user = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const look = `
import os
print(os.getuid())
for name in ['mem', 'environ', 'fd/1']:
    try: print(name, 'READ', open('/proc/1/' + name, 'rb').read(1))
    except OSError as e: print(name, type(e).__name__)
`;
      const { log } = await box.run({
        argv: py(look),
        launcher: [...user, CONTAINER_PYTHON, '-I', '-S', '-B', init, '--'],
      });
      expect(log).toEqual([
        'o 65534',
        'o mem PermissionError',
        'o environ PermissionError',
        'o fd/1 PermissionError',
      ]);
    });

    it('carries a flood completely and in order', { timeout: 120_000 }, async () => {
      const lines = 400_000;
      const began = performance.now();
      const { result, log } = await box.run({
        argv: py(
          `import sys\nw = sys.stdout.write\nfor i in range(0, ${lines}, 1000): w("".join("%07d %s\\n" % (j, "x" * 92) for j in range(i, i + 1000)))`,
        ),
      });
      const seconds = (performance.now() - began) / 1000;
      console.log(`${Math.round((lines * 101) / 1e6 / seconds)} MB/s through attach`);
      expect(result).toMatchObject({ exitCode: 0, lost: false });
      expect(log).toHaveLength(lines);
      const wrong = log.findIndex((line, i) => line !== `o ${`${i}`.padStart(7, '0')} ${'x'.repeat(92)}`);
      expect(wrong).toBe(-1);
    });

    it('is reached over TCP as well', async () => {
      const overTcp = await startFakeEngine('tcp');
      const container = overTcp.create({ argv: [...INIT, ...sh('echo "$TOKEN"; exit 5')], init: true });
      const program = { kind: 'container', engine: overTcp.address, container, init: true } as const;
      const dir = await attemptFolder(box.home, [() => program]);
      await startWrapper(dir, wrapperRequest({ TOKEN: 'over-tcp' })).ended;
      await overTcp.close();
      expect(await wrapperResult(dir)).toMatchObject({ exitCode: 5 });
      expect(await wrapperLog(dir)).toEqual(['o ***']);
    });

    it('is refused with an engine that is elsewhere, or none', async () => {
      for (const address of ['ssh://host', 'unix://', 'nonsense']) {
        const program = { kind: 'container', engine: address, container: 'x', init: false } as const;
        const dir = await attemptFolder(box.home, [() => program]);
        const { code, answer } = await startWrapper(dir).ended;
        expect({ code, answer: JSON.parse(answer) }).toEqual({
          code: 3,
          answer: { took: false, why: `${address} is no address of a container engine` },
        });
      }
    });

    it('outlives a run wrapper that is killed, and is left to whoever cleans up', async () => {
      const made = await box.create([{ argv: sh('echo > "$GOLDFISH_CONTROL/go"; sleep 300') }]);
      const wrapper = startWrapper(made.dir);
      await until(() => readIfThere(join(made.control, 'go')), 'the program ran');
      process.kill(wrapper.pid, 'SIGKILL');
      await wrapper.ended;
      expect(box.engine.state(made.names[0]!).running).toBe(true);
      expect(await readIfThere(join(made.dir, 'exit.json'))).toBeUndefined();
      const { ranks } = JSON.parse(await readFile(join(made.dir, 'wrapper.json'), 'utf8'));
      expect(ranks).toEqual([{ container: made.names[0], groups: [], rank: 0, ended: false }]);
      box.engine.signal(made.names[0]!, 'SIGKILL');
      await until(async () => !box.engine.state(made.names[0]!).running, 'the container ended');
    });

    it('one of several ends the others when it fails, and is named', async () => {
      const mark = `ranks-${Math.random()}`;
      const slow = sh('echo on; exec sleep 300');
      const made = await box.create([
        { argv: slow, environment: { MARK: mark } },
        { argv: sh('echo failing; exit 3'), environment: { MARK: mark } },
        { argv: slow, init: false, environment: { MARK: mark } },
      ]);
      await startWrapper(made.dir).ended;
      expect(await wrapperResult(made.dir)).toMatchObject({
        started: true,
        rank: 1,
        exitCode: 3,
        stoppedBy: null,
        error: 'Rank 1 ended with exit code 3; the others were stopped.',
      });
      expect(await findProcesses(mark)).toEqual([]);
      expect(await wrapperLog(made.dir)).toContain('o [rank 1] failing');
    });
  },
);
