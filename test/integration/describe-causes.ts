import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAUSES } from '../../src/core/causes.ts';
import { until } from '../support/project.ts';
import { type Backend, type CauseCase, type Deed, filesOf } from './causes-case.ts';
import { type CausesProject, createCausesProject, limitsMemory } from './causes-project.ts';
import { CASES, PROGRAM_THAT_WAITS } from './causes-table.ts';

/** What a case needs that is not there, in the words of a skipped test. */
const lacks = (backend: Backend, { needs }: CauseCase): string =>
  needs === undefined || backend !== 'process' || limitsMemory
    ? ''
    : ' (needs control groups: run as root where /sys/fs/cgroup is writable)';
/** Done to files of this machine, or by its engine. */
const DONE_HERE: readonly Deed[] = [
  'garble the result and kill the run wrapper',
  'hide the result and kill the run wrapper',
  'kill the container',
];
const casesOf = (backend: Backend): readonly CauseCase[] =>
  CASES.filter(
    ({ needs, deed }) =>
      (needs !== 'a container' || backend === 'docker') &&
      (backend !== 'gce' || deed === undefined || !DONE_HERE.includes(deed)),
  );

export type CausesOptions = {
  there: boolean;
  /** In the title where it is not there. */
  needs: string;
  /** Further ones of goldfish.yaml, asked for when the project is made. */
  sections?: () => string;
  /** What is to be done with the project before it is removed. */
  end?: (made: CausesProject) => Promise<void>;
  /** What failures say there in other words, by case. */
  messages?: Readonly<Record<string, string>>;
};

/** Every way a run can end on a backend, each by a real run. */
export function describeCauses(
  backend: Backend,
  { there, needs, sections, end, messages = {} }: CausesOptions,
): void {
  describe.skipIf(!there)(`how a run ends on ${backend}${needs}`, () => {
    const cases = casesOf(backend);
    let made: CausesProject;
    let ids: Record<string, string>;

    beforeAll(async () => {
      made = await createCausesProject(backend, sections?.());
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
    afterAll(async () => {
      if (made !== undefined) await end?.(made);
      await made?.dispose();
    }, 120_000);

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
          const said = messages[given.name] ?? report.message;
          expect(told).toMatchObject({ ...report, message: said, next: { tool: next } });
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
  });
}

type NextCall = { tool: string; arguments: Record<string, unknown> };

/** The tool takes the next call of the report. What would start work is made by a test of its own. */
async function nextIsAnswered(of: CausesProject, failure: Record<string, unknown>): Promise<void> {
  const { tool, arguments: args } = failure['next'] as NextCall;
  if (tool === 'logs' || tool === 'inspect_run') await of.client.call(tool, args);
}

/** Feeding the cursor of the report to `logs` gives exactly the line it quotes. */
export async function firstLineIs(
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
