import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findSandbox } from '../../src/backends/process/sandbox.ts';
import { systemClock } from '../../src/core/clock.ts';
import { sha256 } from '../../src/core/json.ts';
import { openHarness } from '../backends/process-harness.ts';
import { NEEDS_BUBBLEWRAP } from '../contracts/process-under-test.ts';

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
