import { chmodSync, mkdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { HOLDING_STATES } from '../../src/core/run-lifecycle.ts';
import { withLock } from '../../src/store/lock.ts';
import { findProcesses } from '../contracts/backend-harness.ts';
import { containersOf, hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { until } from '../support/project.ts';
import { type CausesProject, createCausesProject, GRACE_SECONDS } from './causes-project.ts';
import { PROGRAM_THAT_WAITS } from './causes-table.ts';

/** By how much a cancel may take longer than the grace period. */
const MORE_SECONDS = 2;

/** Says that it has begun and does not listen, and leaves one behind that is of another session. */
const DEAF = `import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(['sleep', '600'], start_new_session=True)
open(os.environ['GOLDFISH_CONTROL'] + '/go', 'w').close()
while True: time.sleep(1)
`;
/** Nothing but holes: it takes no room, and long to read. */
const SPARSE = `import os
with open(os.environ['GOLDFISH_OUTPUTS'] + '/big', 'wb') as file: file.truncate(3 << 30)
print('written')
`;
const SAVE = "import goldfish\ngoldfish.save_output('made', {'made': 1})\n";
/** How long the build of a package sleeps; no other process of the machine has this number. */
const NAP = `6${process.pid}.25`;
const SLOW_PACKAGE = {
  'requirements.txt': './slow\n',
  'slow/pyproject.toml':
    '[build-system]\nrequires = []\nbuild-backend = "nap"\nbackend-path = ["."]\n[project]\nname = "slow"\nversion = "1"\n',
  'slow/nap.py': `import subprocess\ndef get_requires_for_build_wheel(*_, **__):\n    subprocess.run(['sleep', '${NAP}'])\n    return []\n`,
};

for (const backend of ['process', 'docker'] as const) {
  const skipped = backend === 'docker' && !hasEngine;
  describe.skipIf(skipped)(`a cancel on ${backend}${skipped ? NEEDS_ENGINE : ''}`, () => {
    let made: CausesProject;
    let chain: Record<string, string>;

    beforeAll(async () => {
      made = await createCausesProject(backend);
      await made.workspace('exp', {
        'pipeline.yaml': `stages:
  - { name: first, outputs: { made: json } }
  - { name: second, inputs: { made: { from_stage: first } } }
  - { name: makes, outputs: { made: json } }
  - { name: takes, inputs: { made: { from_stage: makes } } }
  - { name: deaf }
  - { name: big, outputs: { big: file } }
`,
        'modules/first.py': PROGRAM_THAT_WAITS,
        'modules/second.py': 'pass\n',
        'modules/makes.py': SAVE,
        'modules/takes.py': 'pass\n',
        'modules/deaf.py': DEAF,
        'modules/big.py': SPARSE,
      });
      chain = await made.run('exp', { stages: ['first', 'second'] });
      await made.begun(chain['first']!);
    });
    afterAll(() => made?.dispose());

    const stateOf = (runId: string): string =>
      made.project.rows<{ state: string }>('SELECT state FROM stage_runs WHERE id = ?', runId)[0]!.state;
    const reaches = (runId: string, state: string): Promise<void> =>
      until(() => stateOf(runId) === state, 60_000, `${runId} in ${state}`);

    /** What the run still holds, in words. */
    async function held(runId: string, of: { slot: boolean }): Promise<string[]> {
      const state = stateOf(runId);
      const holds = of.slot && (HOLDING_STATES as readonly string[]).includes(state);
      const containers = hasEngine ? await containersOf({ runId }) : [];
      return [
        ...(holds ? [`a slot, as ${state}`] : []),
        ...(await findProcesses(runId)).map((pid) => `process ${pid}`),
        ...(await findProcesses(NAP)).map((pid) => `process ${pid} of a build`),
        ...containers.map(({ Names }) => `container ${Names.join()}`),
      ];
    }

    /** Cancels through the tool, and measures until nothing is held any more. */
    async function cancel(runId: string, of = { slot: true }): Promise<number> {
      const from = performance.now();
      await made.client.call('cancel', { target: runId, reason: `Cancel it as ${stateOf(runId)}` });
      let left: string[] = ['everything'];
      while (left.length > 0 && performance.now() - from < 60_000) {
        left = await held(runId, of);
        if (left.length > 0) await systemClock.sleep(20);
      }
      expect(left).toEqual([]);
      return (performance.now() - from) / 1000;
    }

    async function isCanceled(runId: string): Promise<void> {
      await made.over(runId);
      expect(await made.inspect(runId)).toMatchObject({ state: 'canceled', cause: 'user', failure: null });
    }

    it('while it is pending ends it at once', async () => {
      const { second, pipeline } = await made.run('exp', {
        stages: ['first', 'second'],

        use_cache: false,
      });
      expect(stateOf(second!)).toBe('pending');
      expect(await cancel(second!)).toBeLessThan(MORE_SECONDS);
      await isCanceled(second!);
      await made.client.call('cancel', { target: pipeline, reason: 'Only the second was of interest' });
    });

    it('while it is preparing: an input that takes long to read', async () => {
      const { makes } = await made.run('exp', { stages: ['makes'] });
      await made.over(makes!);
      const [{ path }] = (await made.inspect(makes!))['outputs'] as [{ path: string }];
      const stored = join(made.project.root, path);
      chmodSync(stored, 0o644);
      truncateSync(stored, 2 ** 36);
      const { takes } = await made.run('exp', { stages: ['takes'] });
      await reaches(takes!, 'preparing');
      expect(await cancel(takes!)).toBeLessThan(GRACE_SECONDS + MORE_SECONDS);
      await isCanceled(takes!);
    });

    it('while it is building: a package that takes long to build', async () => {
      const pipeline = 'stages:\n  - { name: built }\n';
      await made.workspace('slow', {
        'pipeline.yaml': pipeline,
        'modules/built.py': 'pass\n',
        ...SLOW_PACKAGE,
      });
      const { built } = await made.run('slow');
      await until(async () => (await findProcesses(NAP)).length > 0, 90_000, 'the build of the package');
      expect(stateOf(built!)).toBe('building');
      expect(await cancel(built!)).toBeLessThan(GRACE_SECONDS + MORE_SECONDS);
      await isCanceled(built!);
    });

    it('while it is launching: somebody else holds the lock of its attempt', async () => {
      const second = chain['second']!;
      const folders = made.attempt(second);
      mkdirSync(folders.dir, { recursive: true, mode: 0o700 });
      await withLock(join(folders.dir, 'launch.lock'), { clock: systemClock, what: 'the run' }, async () => {
        made.release(chain['first']!);
        await reaches(second, 'launching');
        expect(await cancel(second)).toBeLessThan(GRACE_SECONDS + MORE_SECONDS);
      });
      await isCanceled(second);
    });

    it('while it is running: a program that ignores it, and its daemon', async () => {
      const { deaf } = await made.run('exp', { stages: ['deaf'] });
      await made.begun(deaf!);
      await reaches(deaf!, 'running');
      const took = await cancel(deaf!);
      expect(took).toBeGreaterThan(GRACE_SECONDS - 0.5);
      expect(took).toBeLessThan(GRACE_SECONDS + MORE_SECONDS);
      await isCanceled(deaf!);
    });

    it('while it is finishing: nothing of it runs, and what it made is kept', async () => {
      const { big } = await made.run('exp', { stages: ['big'] });
      await reaches(big!, 'finishing');
      // The end of the program was its own: its outputs are stored, and the slot is free then.
      expect(await cancel(big!, { slot: false })).toBeLessThan(GRACE_SECONDS + MORE_SECONDS);
      await made.over(big!);
      expect(await made.inspect(big!)).toMatchObject({
        state: 'completed',
        cause: 'success',
        outputs: [{ name: 'big', size: 3 * 2 ** 30 }],
      });
      expect(await held(big!, { slot: true })).toEqual([]);
    });
  });
}
