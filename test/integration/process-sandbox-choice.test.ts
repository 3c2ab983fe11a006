import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunSpec } from '../../src/backends/port.ts';
import { findSandbox } from '../../src/backends/process/sandbox.ts';
import { systemClock } from '../../src/core/clock.ts';
import { sha256 } from '../../src/core/json.ts';
import { openHarness } from '../backends/process-harness.ts';
import { NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-bwrap-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** A PATH on which bubblewrap is this script. */
async function bubblewrap(script: string): Promise<string> {
  await writeFile(join(home, 'bwrap'), `#!/bin/sh\n${script}\n`);
  await chmod(join(home, 'bwrap'), 0o755);
  return `${home}:${process.env['PATH']}`;
}

it('is not known to be of use or of none while bubblewrap does not answer', async () => {
  const PATH = await bubblewrap('exec sleep 60');
  const began = performance.now();
  expect(findSandbox({ sandbox: 'auto', hostEnvironment: { PATH } }, 300)).toEqual({
    kind: 'unknown',
    why: 'bubblewrap is installed, but did not answer when it was tried',
  });
  expect(performance.now() - began).toBeLessThan(10_000);
});

it('is of no use where bubblewrap says so', async () => {
  const PATH = await bubblewrap('exit 1');
  expect(findSandbox({ sandbox: 'auto', hostEnvironment: { PATH } })).toMatchObject({ kind: 'none' });
});

it('runs nothing without a sandbox for a trial that failed for now, and tries again half a minute later', async () => {
  const PATH = await bubblewrap(`test -e '${home}/well' || kill -9 $$`);
  let later = 0;
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + later };
  const h = await openHarness('auto', { hostEnvironment: { PATH }, clock });
  try {
    const why = 'bubblewrap is installed, but did not answer when it was tried';
    expect(await h.backend.probe()).toMatchObject({ available: false, why });
    const spec = await h.spec();
    await expect(h.backend.launch(spec)).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      retryable: true,
      message: `Stages cannot be started now: ${why}.`,
    });
    await writeFile(join(home, 'well'), '');
    expect(await h.backend.probe(), 'not at every look').toMatchObject({ available: false });
    later = 31_000;
    expect(await h.backend.probe()).toMatchObject({ available: true });
    expect(h.backend.capabilities.isolation).toBe('namespaces');
  } finally {
    await h.close();
  }
});

/** A bubblewrap that gives up as often as `refusals` says, as it does where mounts come and go beside it. */
async function unlucky(refusals: number): Promise<string> {
  const count = join(home, 'refused');
  const real = spawnSync('sh', ['-c', 'command -v bwrap'], { encoding: 'utf8' }).stdout.trim();
  await writeFile(count, '');
  return bubblewrap(`if [ "$(wc -c < '${count}')" -lt ${refusals} ]; then
  printf x >> '${count}'; echo "bwrap: Can't bind mount /oldroot/ on /newroot/" >&2; exit 1
fi
exec ${JSON.stringify(real)} "$@"`);
}

/** Says how many processes it could start beside itself. */
const PROCESSES = `
import subprocess
made = []
try:
    while len(made) < 40: made.append(subprocess.Popen(['sleep', '60']))
except OSError: pass
print(len(made), 'more')
for one in made: one.kill()
`;

describe.skipIf(NEEDS_BUBBLEWRAP !== '')(`where mounts come and go${NEEDS_BUBBLEWRAP}`, () => {
  it('is not taken for forbidden when it gives up now and then', async () => {
    expect(findSandbox({ sandbox: 'auto', hostEnvironment: { PATH: await unlucky(3) } })).toMatchObject({
      kind: 'bubblewrap',
    });
  });

  it('is set up again for a program that did not begin, which keeps its limits and its output', async () => {
    const PATH = await unlucky(0);
    const h = await openHarness('auto', { hostEnvironment: { PATH } });
    try {
      expect(await h.backend.probe()).toMatchObject({ available: true });
      const limited: Partial<RunSpec> = {
        resources: { nodes: 1, memoryBytes: null, cpus: null, gpus: 0, pidsLimit: 12, network: false },
        command: ['python3', '-u', '-c', PROCESSES],
      };
      const lucky = await h.run(limited);
      await unlucky(3);
      const { handle, result } = await h.run(limited);
      expect(result).toMatchObject({ started: true, exitCode: 0 });
      expect(await h.log(handle)).toEqual(await h.log(lucky.handle));
    } finally {
      await h.close();
    }
  });

  it('is given up after the fourth time, with the reason in the log', async () => {
    const PATH = await unlucky(0);
    const h = await openHarness('auto', { hostEnvironment: { PATH } });
    try {
      expect(await h.backend.probe()).toMatchObject({ available: true });
      await unlucky(4);
      const { handle, result } = await h.run({ command: ['/bin/true'] });
      expect(result).toMatchObject({
        started: false,
        error: 'The sandbox refused to start it; the log says why.',
      });
      const refused = "bwrap: Can't bind mount /oldroot/ on /newroot/";
      const again = 'The sandbox could not be set up; it is tried again.';
      expect(await h.log(handle)).toEqual([refused, again, refused, again, refused, again, refused]);
    } finally {
      await h.close();
    }
  });
});

it.skipIf(NEEDS_BUBBLEWRAP !== '')(
  `hides a store outside the project, all but the run's own inputs${NEEDS_BUBBLEWRAP}`,
  async () => {
    // Not in a temporary folder: those are hidden anyway.
    const base = await realpath(await mkdtemp(join(homedir(), '.goldfish-store-')));
    const store = join(base, 'objects');
    const h = await openHarness('auto', { hiddenFolders: [store, join(base, 'not there')] });
    try {
      await mkdir(store);
      await writeFile(join(store, 'own'), 'mine');
      await writeFile(join(store, 'other'), 'theirs');
      const visible = spawnSync('bwrap', ['--ro-bind', '/', '/', 'cat', join(store, 'other')], {
        encoding: 'utf8',
      });
      expect(visible.stdout, 'it would be seen').toBe('theirs');
      const input = {
        name: 'raw',
        type: 'csv',
        hash: sha256('mine'),
        kind: 'file',
        fileName: 'raw.csv',
        localPath: join(store, 'own'),
      } as const;
      const { handle, result } = await h.run({
        inputs: [input],
        command: ['/bin/sh', '-c', `cat "$GOLDFISH_INPUTS/raw.csv"; echo; ls -A '${store}'`],
      });
      expect(await h.log(handle)).toEqual(['mine']);
      expect(result).toMatchObject({ started: true, exitCode: 0 });
    } finally {
      await h.close();
      await rm(base, { recursive: true, force: true });
    }
  },
);
