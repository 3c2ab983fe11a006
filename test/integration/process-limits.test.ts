import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Resources } from '../../src/backends/port.ts';
import { assetPath } from '../../src/core/assets.ts';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { endOf, findProcesses, readIfThere, until } from '../contracts/backend-harness.ts';
import { HAS_BUBBLEWRAP, NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';

/** What the kernel lets the run wrapper limit on this machine. */
const PROBE = `
import sys; sys.path.insert(0, sys.argv[1])
import wrapper_cgroups as c
g = c.make_groups('goldfish-probe-%s' % sys.argv[2], {'memory': 10**8, 'pids': 10, 'cpus': 1})
print(*sorted(g.limits)); g.remove()
`;
const limits = spawnSync(
  'python3',
  ['-B', '-c', PROBE, dirname(assetPath('runtime/run_wrapper.py')), `${process.pid}`],
  {
    encoding: 'utf8',
  },
).stdout;
const lacks = (limit: string): string =>
  limits.includes(limit) ? '' : ` (needs control groups: run as root where /sys/fs/cgroup is writable)`;

const py = (script: string): string[] => ['python', '-c', script];
const amounts = (change: Partial<Resources>): { resources: Resources } => ({
  resources: {
    nodes: 1,
    memoryBytes: null,
    cpus: null,
    gpus: 0,
    pidsLimit: null,
    network: true,
    ...change,
  },
});

for (const mode of ['none', 'bubblewrap'] as const) {
  const title = mode === 'none' ? 'limits without a sandbox' : `limits in bubblewrap${NEEDS_BUBBLEWRAP}`;
  describe.skipIf(mode === 'bubblewrap' && !HAS_BUBBLEWRAP)(title, () => {
    let h: Harness;
    beforeAll(async () => {
      h = await openHarness(mode);
    });
    afterAll(() => h.close());

    it.skipIf(lacks('pids') !== '')(
      `give a stage as many processes and threads as it may have, itself included${lacks('pids')}`,
      async () => {
        const { handle, result } = await h.run({
          ...amounts({ pidsLimit: 12 }),
          command: py(`
import threading
stop, made = threading.Event(), 1
try:
    for _ in range(100):
        threading.Thread(target=stop.wait).start(); made += 1
except RuntimeError: pass
print(made); stop.set()
`),
        });
        expect(result).toMatchObject({ exitCode: 0 });
        expect(await h.log(handle)).toEqual(['12']);
      },
    );

    it.skipIf(lacks('pids') !== '')(
      `are each rank's own, and a program that forks without end is ended with all it made${lacks('pids')}`,
      async () => {
        const spec = await h.spec({
          ...amounts({ nodes: 2, pidsLimit: 30 }),
          stopGraceSeconds: 0.2,
          command: py(`
import os, time
if os.environ['GOLDFISH_RANK'] == '1':
    while True:
        try:
            if os.fork() == 0: time.sleep(300)
        except OSError:
            open(os.environ['GOLDFISH_CONTROL'] + '/full', 'w'); time.sleep(300)
else:
    [os.fork() for _ in range(3)]; time.sleep(300)
`),
        });
        const handle = await h.backend.launch(spec);
        const folders = h.layout.attempt(handle.runId, 1);
        await until(() => readIfThere(join(folders.rank(1).control, 'full')), 'the limit was met');
        await h.backend.terminate(handle, { graceSeconds: 0.2, reason: 'cancel' });
        expect(await endOf(h.backend, handle)).toMatchObject({ stoppedBy: 'cancel', error: null });
        const { ranks } = JSON.parse(await readFile(folders.wrapper, 'utf8'));
        for (const { groups } of ranks) {
          for (const group of groups) {
            expect(await readIfThere(join(group, 'cgroup.procs')), 'the group is gone').toBeUndefined();
          }
        }
      },
    );

    // In bubblewrap the namespace ends with the wrapper: nothing can leave it.
    const outside = mode === 'none' ? it : undefined;
    outside?.skipIf(lacks('pids') !== '')(
      `find what left its session and its environment after the wrapper was killed${lacks('pids')}`,
      async () => {
        const mark = `86400.${process.pid}1`;
        const spec = await h.spec({
          ...amounts({ pidsLimit: 30 }),
          command: [
            '/bin/sh',
            '-c',
            `env -i setsid sleep ${mark} & echo > "$GOLDFISH_CONTROL/go"; sleep 300`,
          ],
        });
        const handle = await h.backend.launch(spec);
        await h.ready(handle);
        const sleeping = (): Promise<number[]> => findProcesses(`sleep\0${mark}`);
        await until(async () => (await sleeping()).length === 1, 'it sleeps');
        const { ranks } = JSON.parse(await readFile(h.layout.attempt(handle.runId, 1).wrapper, 'utf8'));
        await h.loseExecutor(handle);
        await h.backend.cleanup(handle);
        expect(await sleeping()).toEqual([]);
        for (const group of ranks[0].groups) {
          expect(await readIfThere(join(group, 'cgroup.procs')), 'the group is gone').toBeUndefined();
        }
      },
    );

    it.skipIf(lacks('cpus') !== '')(
      `hold a stage to its share of the processors${lacks('cpus')}`,
      async () => {
        const spec = await h.spec({
          ...amounts({ cpus: 0.1 }),
          command: py(
            'import os; open(os.environ["GOLDFISH_CONTROL"] + "/go", "w").write("x")\nwhile True: pass',
          ),
        });
        const handle = await h.backend.launch(spec);
        const folders = h.layout.attempt(handle.runId, 1);
        await until(() => readIfThere(join(folders.control, 'go')), 'the program ran');
        const { ranks } = JSON.parse(await readFile(folders.wrapper, 'utf8'));
        const throttled = async (): Promise<boolean> => {
          for (const group of ranks[0].groups) {
            const stat = (await readIfThere(join(group, 'cpu.stat'))) ?? '';
            if (Number(/nr_throttled (\d+)/.exec(stat)?.[1]) > 2) return true;
          }
          return false;
        };
        await until(throttled, 'the kernel held it back');
        await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
        await endOf(h.backend, handle);
      },
    );
  });
}
