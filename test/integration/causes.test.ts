import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { projectLayout } from '../../src/core/layout.ts';
import { hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { until } from '../support/project.ts';
import { type Backend, filesOf } from './causes-case.ts';
import { createCausesProject } from './causes-project.ts';
import { CASES, PROGRAM_THAT_WAITS } from './causes-table.ts';
import { describeCauses, firstLineIs } from './describe-causes.ts';

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
const needsMount = canMount ? '' : ' (needs the right to mount: run as root)';

for (const backend of ['process', 'docker'] as const) {
  const there = backend === 'process' || hasEngine;
  describeCauses(backend, { there, needs: there ? '' : NEEDS_ENGINE });

  describe.skipIf(!there)(`a store that fails on ${backend}${there ? '' : NEEDS_ENGINE}`, () => {
    it('upload_failed: a store that takes nothing', async () => {
      await uploadFails(
        backend,
        async (objects) => {
          if (existsSync(objects)) renameSync(objects, `${objects}.away`);
          writeFileSync(objects, 'a file where a folder should be');
        },
        { message: 'Outputs could not be stored: The object storage refused (ENOTDIR).', errno: 'ENOTDIR' },
      );
    });

    it.skipIf(!canMount)(`upload_failed: a store whose disk is full${needsMount}`, async () => {
      await uploadFails(
        backend,
        async (objects) => {
          fill(join(objects, 'ballast'));
        },
        {
          message: 'Outputs could not be stored: The disk under the object storage is full.',
          errno: 'ENOSPC',
        },
      );
    });
  });
}

// The only backend of this machine that reads a Dockerfile.
describe.skipIf(!hasEngine)(`a Dockerfile that fails${NEEDS_ENGINE}`, () => {
  it('build_failed: a line of a Dockerfile, by file and line', async () => {
    const made = await createCausesProject('docker');
    try {
      await made.workspace('undocked', {
        ...filesOf([{ ...CASES[0]!, name: 'docked' }]),
        Dockerfile: `FROM ${TEST_IMAGE}\nRUN echo fine\nRUN echo 'ERROR: no luck' >&2; exit 7\n`,
      });
      const { docked, pipeline } = await made.run('undocked');
      await made.over(pipeline!);
      const run = await made.inspect(docked!);
      expect(run).toMatchObject({
        state: 'failed',
        cause: 'build_failed',
        failure: {
          class: 'config',
          message: 'Dockerfile:3:1: the command ended with exit code 7',
          retry_safe: false,
          next: { tool: 'logs' },
        },
      });
      await firstLineIs(made, docked!, run['failure'] as Record<string, unknown>);
    } finally {
      await made.dispose();
    }
  }, 120_000);
});

/** Until the disk has no room for another byte. */
function fill(file: string): void {
  const handle = openSync(file, 'w');
  try {
    expect(() => {
      for (;;) writeSync(handle, Buffer.alloc(4096));
    }).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
  } finally {
    closeSync(handle);
  }
}

/** A project whose objects lie on a small disk of their own where that can be made; spoiled while the program waits. */
async function uploadFails(
  backend: Backend,
  spoil: (objects: string) => Promise<void>,
  told: { message: string; errno: string },
): Promise<void> {
  const disk = mkdtempSync(join(tmpdir(), 'goldfish-store-'));
  if (canMount) spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', disk]);
  const objects = join(disk, 'objects');
  mkdirSync(objects);
  const of = await createCausesProject(
    backend,
    `storage: { keep: { min_free_gb: 0 }, local: { path: '${objects}' } }\n`,
  );
  try {
    await of.workspace('exp', {
      'pipeline.yaml': 'stages:\n  - { name: waits, outputs: { made: json } }\n',
      'modules/waits.py': PROGRAM_THAT_WAITS,
    });
    const { waits, pipeline } = await of.run('exp');
    await of.begun(waits!);
    await spoil(objects);
    of.release(waits!);
    await of.over(pipeline!);
    expect(await of.inspect(waits!)).toMatchObject({
      state: 'terminated',
      cause: 'upload_failed',
      exit_code: 0,
      signal: null,
      failure: {
        class: 'infra',
        retry_safe: true,
        first_error_line: null,
        log_tail: ['I have begun'],
        ...told,
        next: { tool: 'retry', arguments: { run_id: waits } },
      },
    });
    // What the program wrote is still where it wrote it.
    expect(existsSync(join(projectLayout(of.project.root).attempt(waits!, 1).outputs, 'made.json'))).toBe(
      true,
    );
  } finally {
    await of.dispose();
    if (canMount)
      await until(
        () => spawnSync('umount', [disk]).status === 0,
        20_000,
        'the end of all that uses the disk',
      );
    rmSync(disk, { recursive: true, force: true });
  }
}
