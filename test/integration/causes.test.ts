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
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { CAUSES } from '../../src/core/causes.ts';
import { projectLayout } from '../../src/core/layout.ts';
import { hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { until } from '../support/project.ts';
import { type Backend, type CauseCase, filesOf } from './causes-case.ts';
import { type CausesProject, createCausesProject, limitsMemory } from './causes-project.ts';
import { CASES, PROGRAM_THAT_WAITS } from './causes-table.ts';

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
const needsMount = canMount ? '' : ' (needs the right to mount: run as root)';
/** What a case needs that is not there, in the words of a skipped test. */
const lacks = (backend: Backend, { needs }: CauseCase): string =>
  needs === undefined || backend === 'docker' || limitsMemory
    ? ''
    : ' (needs control groups: run as root where /sys/fs/cgroup is writable)';
const casesOf = (backend: Backend): readonly CauseCase[] =>
  CASES.filter(({ needs }) => needs !== 'a container' || backend === 'docker');

for (const backend of ['process', 'docker'] as const) {
  const skipped = backend === 'docker' && !hasEngine;
  describe.skipIf(skipped)(`how a run ends on ${backend}${skipped ? NEEDS_ENGINE : ''}`, () => {
    const cases = casesOf(backend);
    let made: CausesProject;
    let ids: Record<string, string>;

    beforeAll(async () => {
      made = await createCausesProject(backend);
      const files = {
        ...filesOf(cases),
        'data.txt': 'no program\n',
        plain: 'no line that names an interpreter\n',
      };
      await made.workspace('exp', files, ['plain']);
      ids = await made.run('exp');
      await Promise.all(
        cases.map(async ({ name, deed }) => {
          if (deed === undefined) return;
          await made.begun(ids[name]!);
          // What is still in a pipe goes with whoever reads it.
          await until(async () => (await made.tail(ids[name]!, 1)).length > 0, 30_000, `a line of ${name}`);
          await made.deed(deed, ids[name]!);
        }),
      );
      await made.over(ids['pipeline']!);
    }, 300_000);
    afterAll(() => made?.dispose());

    for (const given of cases) {
      const missing = lacks(backend, given);
      it.skipIf(missing !== '')(
        `${given.cause}: a run that ${given.name.replaceAll('_', ' ')}${missing}`,
        async () => {
          const runId = ids[given.name]!;
          const run = await made.inspect(runId, ['events', 'attempts']);
          const { log, failure, message, ...ended } = given.ended;
          expect(run).toMatchObject({
            cause: given.cause,
            sentence: CAUSES[given.cause].sentence,
            attempt: 1,
            ...ended,
            ...(message === undefined
              ? {}
              : { message: message.replace(/RUN (\w+)/, (_, stage: string) => ids[stage] ?? '') }),
          });
          expect(await made.tail(runId, 5)).toEqual(log);
          const last = (run['events'] as Record<string, unknown>[]).at(-1);
          expect(last).toMatchObject({ to: given.ended.state, at: run['ended_at'] });
          if (failure === null) {
            expect(run['failure']).toBeNull();
            return;
          }
          const { next, errno, ...report } = failure;
          const told = run['failure'] as Record<string, unknown>;
          expect(told).toMatchObject({ ...report, next: { tool: next } });
          expect(told['errno']).toBe(errno);
          expect(last?.['errno']).toBe(errno);
          expect(told['log_tail']).toEqual(log.map((line) => line.replace(/^\w+: /, '')));
          await firstLineIs(made, runId, told);
          await nextIsAnswered(made, told);
        },
      );
    }

    it('starts a lost run again where the next call of its report is made', async () => {
      const { failure } = await made.inspect(ids['vanishes']!);
      const { tool, arguments: args } = (failure as { next: NextCall }).next;
      const answer = await made.client.call(tool, args);
      expect(answer).toMatchObject({ retry_of: ids['vanishes'], runs: [{ stage: 'vanishes' }] });
      const [again] = answer['runs'] as { run_id: string }[];
      await made.begun(again!.run_id);
      made.release(again!.run_id);
      await made.over(again!.run_id);
      expect(await made.inspect(again!.run_id)).toMatchObject({ state: 'completed', cause: 'success' });
    });

    it('cached: a run that an earlier one stands for', async () => {
      const again = await made.run('exp', { stages: ['goes_well'] });
      await made.over(again['pipeline']!);
      expect(await made.inspect(again['goes_well']!)).toMatchObject({
        state: 'completed',
        cause: 'cached',
        cached_from: ids['goes_well'],
        exit_code: null,
        signal: null,
        failure: null,
      });
      expect(await made.tail(again['goes_well']!, 5)).toEqual(['stdout: all is well']);
    });

    it('build_failed: a requirement that is none, by file and line', async () => {
      await made.workspace('unbuilt', {
        ...filesOf([{ ...CASES[0]!, name: 'built' }]),
        'requirements.txt': '# what it needs\n\nthis is no requirement\n',
      });
      const { built, pipeline } = await made.run('unbuilt');
      await made.over(pipeline!);
      const run = await made.inspect(built!);
      expect(run).toMatchObject({
        state: 'failed',
        cause: 'build_failed',
        exit_code: null,
        signal: null,
        failure: {
          class: 'config',
          message: expect.stringMatching(/^requirements\.txt:3:1: Invalid requirement: /),
          retry_safe: false,
          first_error_line: expect.stringMatching(/^ERROR: Invalid requirement: /),
          next: { tool: 'logs' },
        },
      });
      expect((await made.tail(built!, 20)).every((line) => line.startsWith('build: '))).toBe(true);
      await firstLineIs(made, built!, run['failure'] as Record<string, unknown>);
    });

    // The only backend that reads a Dockerfile.
    if (backend === 'docker') {
      it('build_failed: a line of a Dockerfile, by file and line', async () => {
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
      });
    }

    it('input_unavailable: what an input was is no longer stored', async () => {
      await made.workspace('emptied', {
        'pipeline.yaml': `stages:
  - { name: makes, outputs: { made: json } }
  - { name: waits, outputs: { made: json } }
  - { name: takes, inputs: { one: { from_stage: makes, signal: made }, two: { from_stage: waits, signal: made } } }
`,
        'modules/makes.py': "import goldfish\ngoldfish.save_output('made', {'by': 'makes'})\n",
        'modules/waits.py': PROGRAM_THAT_WAITS,
        'modules/takes.py': 'pass\n',
      });
      const emptied = await made.run('emptied');
      await made.over(emptied['makes']!);
      const { outputs } = await made.inspect(emptied['makes']!, ['outputs']);
      const [{ path }] = outputs as [{ path: string }];
      rmSync(join(made.project.root, path));
      await made.begun(emptied['waits']!);
      made.release(emptied['waits']!);
      await made.over(emptied['pipeline']!);
      expect(await made.inspect(emptied['takes']!)).toMatchObject({
        state: 'failed',
        cause: 'input_unavailable',
        exit_code: null,
        signal: null,
        failure: {
          class: 'data',
          message: 'Input "one": Stored content of an input is no longer there.',
          retry_safe: false,
          first_error_line: null,
          log_cursor: null,
          log_tail: [],
          next: {
            tool: 'run',
            arguments: {
              workspace: 'emptied',
              stages: ['makes', 'takes'],
              use_cache: false,
              reason: 'Make the output of makes anew, which takes needs',
            },
          },
        },
      });
      expect(await made.tail(emptied['takes']!, 5)).toEqual([]);
    });

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

type NextCall = { tool: string; arguments: Record<string, unknown> };

/** The tool takes the next call of the report. What would start work is made by a test of its own. */
async function nextIsAnswered(of: CausesProject, failure: Record<string, unknown>): Promise<void> {
  const { tool, arguments: args } = failure['next'] as NextCall;
  if (tool === 'logs' || tool === 'inspect_run') await of.client.call(tool, args);
}

/** Feeding the cursor of the report to `logs` gives exactly the line it quotes. */
async function firstLineIs(
  of: CausesProject,
  runId: string,
  failure: Record<string, unknown>,
): Promise<void> {
  const { first_error_line: line, log_cursor: cursor } = failure;
  if (line === null) {
    expect(cursor).toBeNull();
    return;
  }
  const { lines } = await of.client.call('logs', { run_id: runId, cursor });
  expect((lines as { text: string }[])[0]?.text).toBe(line);
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
