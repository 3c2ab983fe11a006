import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WrapperSpec } from '../../src/backends/wrapper-spec.ts';
import { readIfThere, until } from '../contracts/backend-harness.ts';
import { type Box, type Containers, openContainers, py, requestStop, sh } from '../support/containers.ts';
import { CONTAIN_HINT, canContain } from '../support/fake-engine.ts';
import { startWrapper, wrapperLog, wrapperResult } from '../support/run-wrapper.ts';

describe.skipIf(!canContain)(
  `a container whose engine goes away${canContain ? '' : ` ${CONTAIN_HINT}`}`,
  () => {
    let box: Containers;
    beforeEach(async () => {
      box = await openContainers();
    });
    afterEach(() => box.close());

    /** Prints a line whenever the test says so, and ends with 6 when it is told to. */
    const teller = py(`
import os, sys, time
control = os.environ['GOLDFISH_CONTROL']
print('first'); sys.stderr.write('half a li'); sys.stdout.flush(); sys.stderr.flush()
open(control + '/go', 'w').close()
while not os.path.exists(control + '/on'): time.sleep(0.02)
print('unheard', flush=True); open(control + '/said', 'w').close()
while not os.path.exists(control + '/end'): time.sleep(0.02)
print('last'); sys.exit(6)
`);
    const begin = async (program: Partial<Box> = {}, change: Partial<WrapperSpec> = {}) => {
      const made = await box.create([{ argv: teller, ...program }], change);
      const wrapper = startWrapper(made.dir);
      await until(() => readIfThere(join(made.control, 'go')), 'the program ran');
      await until(async () => (await wrapperLog(made.dir)).length > 0, 'its first line is in the log');
      return { ...made, wrapper, tell: (name: string) => writeFile(join(made.control, name), '') };
    };

    it.each([true, false])(
      'listens again to a container that lives on, and says that lines may be missing (our first process: %s)',
      async (init) => {
        const { dir, control, wrapper, tell } = await begin({ init });
        await box.engine.goAway('live on');
        await tell('on');
        await until(() => readIfThere(join(control, 'said')), 'the program printed unheard');
        const attached = box.engine.calls.filter((call) => call === 'POST attach').length;
        await box.engine.comeBack();
        await until(
          async () => box.engine.calls.filter((call) => call === 'POST attach').length > attached,
          'a new connection',
        );
        await tell('end');
        await wrapper.ended;
        expect(await wrapperResult(dir)).toMatchObject({ exitCode: 6, signal: null, lost: false });
        const log = await wrapperLog(dir);
        expect(log.filter((line) => line.startsWith('o'))).toEqual(['o first', 'o last']);
        expect(log.filter((line) => line.startsWith('e'))).toEqual([
          'e half a li',
          'e [goldfish] The connection to the container engine was lost; lines may be missing here.',
        ]);
      },
    );

    it.each([true, false])(
      'is lost with a container that died with its engine, and invents no exit code (our first process: %s)',
      async (init) => {
        const { dir, wrapper } = await begin({ init });
        await box.engine.goAway('die');
        await box.engine.comeBack();
        await wrapper.ended;
        expect(await wrapperResult(dir)).toMatchObject({
          started: true,
          lost: true,
          exitCode: null,
          signal: null,
          stoppedBy: null,
          error: 'The container engine went away and the container ended meanwhile: how is not known.',
        });
      },
    );

    it('gives up some time after the deadline where it never answers again', async () => {
      const { dir, wrapper } = await begin({}, { timeoutSeconds: 3, stopGraceSeconds: 0.5 });
      await box.engine.goAway('live on');
      await wrapper.ended;
      expect(await wrapperResult(dir)).toMatchObject({
        started: true,
        lost: true,
        exitCode: null,
        signal: null,
        stoppedBy: 'timeout',
        error: 'The container engine did not answer any more: how the program ended is not known.',
      });
    });

    it('is stopped once the engine is back', async () => {
      const { dir, wrapper } = await begin();
      await box.engine.goAway('live on');
      await requestStop(dir, 20);
      process.kill(wrapper.pid, 'SIGTERM');
      await until(() => readIfThere(join(dir, 'control', 'stop')), 'the request was seen');
      await box.engine.comeBack();
      await wrapper.ended;
      expect(await wrapperResult(dir)).toMatchObject({
        stoppedBy: 'cancel',
        signal: 'SIGTERM',
        lost: false,
      });
    });

    it('waits for an engine that is not there yet, and starts the container once', async () => {
      const made = await box.create([{ argv: sh('echo ran') }]);
      await box.engine.goAway('live on');
      const wrapper = startWrapper(made.dir);
      await until(() => readIfThere(join(made.dir, 'wrapper.json')), 'the wrapper took the job');
      await box.engine.comeBack();
      await wrapper.ended;
      expect(await wrapperResult(made.dir)).toMatchObject({ exitCode: 0 });
      expect(await wrapperLog(made.dir)).toEqual(['o ran']);
      expect(box.engine.calls.filter((call) => call === 'POST start')).toHaveLength(1);
    });

    it('executes once when the answer to the start is lost', async () => {
      const count = join(box.home, 'count');
      const once = sh(`echo ran >> '${count}'; sleep 1; exit 3`);
      box.engine.loseStartAnswer = true;
      const plain = await box.run({ argv: once, init: false });
      expect(plain.result).toMatchObject({ started: true, exitCode: 3, lost: false });
      expect(await readFile(count, 'utf8')).toBe('ran\n');
      expect(box.engine.calls.filter((call) => call === 'POST start')).toHaveLength(1);
      // Nobody handed over what the first process of ours waits for.
      box.engine.loseStartAnswer = true;
      const handed = await box.run({ argv: once });
      expect(handed.result).toMatchObject({
        started: false,
        lost: true,
        error:
          'The container engine went away while the container was being started; its program did not start.',
      });
      expect(await readFile(count, 'utf8')).toBe('ran\n');
    });

    it('is lost when somebody else ends the container', async () => {
      const long = sh('echo there; echo > "$GOLDFISH_CONTROL/go"; exec sleep 300');
      for (const [deed, expected] of [
        ['SIGKILL', { lost: true, exitCode: null, signal: null }],
        ['SIGTERM', { lost: true, exitCode: null, signal: 'SIGTERM' }],
        ['remove', { lost: true, exitCode: null, signal: null }],
      ] as const) {
        const made = await box.create([{ argv: long }]);
        const wrapper = startWrapper(made.dir);
        await until(() => readIfThere(join(made.control, 'go')), 'the program ran');
        // Before that nobody here knows that it began.
        await until(async () => (await wrapperLog(made.dir)).length > 0, 'its first line is in the log');
        const name = made.names[0]!;
        if (deed === 'remove') box.engine.remove(name);
        else box.engine.signal(name, deed);
        await wrapper.ended;
        expect(await wrapperResult(made.dir), deed).toMatchObject({
          started: true,
          stoppedBy: null,
          ...expected,
        });
      }
    });
  },
);
