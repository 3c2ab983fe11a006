import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { hasEngine, NEEDS_ENGINE } from '../../contracts/docker-under-test.ts';
import { HAS_BUBBLEWRAP, NEEDS_BUBBLEWRAP } from '../../support/bubblewrap.ts';
import { type AttackedProject, attackedProject, filesWith, REASON } from './attacked-project.ts';
import { ACTS, ATTACK, attackPipeline } from './hostile-stage.ts';

const KINDS = [
  {
    name: 'a plain process',
    config: 'defaults: { backend: process }\nprocess: { sandbox: none, max_parallel: 3 }\n',
    bare: true,
    skip: false,
  },
  {
    name: `a process in bubblewrap${NEEDS_BUBBLEWRAP}`,
    config: 'defaults: { backend: process }\nprocess: { sandbox: bubblewrap, max_parallel: 3 }\n',
    bare: false,
    skip: !HAS_BUBBLEWRAP,
  },
  {
    name: `a container${NEEDS_ENGINE}`,
    config: `defaults: { backend: docker }\ndocker: { base_image: '${TEST_IMAGE}', max_parallel: 3 }\n`,
    bare: false,
    skip: !hasEngine,
  },
];

type Run = { run_id: string; stage: string };
type Inspected = { cause: string; failure: { message: string } | null };

async function attack(project: AttackedProject, acts: readonly string[]): Promise<Map<string, Run>> {
  const elsewhere = join(project.base, 'elsewhere.json');
  writeFileSync(elsewhere, '{"elsewhere": true}', { mode: 0o640 });
  await project.must('create_workspace', { name: 'baseline', goal: 'Attack', reason: REASON });
  await project.must('mount', { workspace: 'baseline', reason: REASON });
  project.write('workspaces/w1/modules/attack.py', ATTACK);
  project.write('workspaces/w1/pipeline.yaml', attackPipeline(acts, [project.outside, elsewhere]));
  for (const name of ['generate', 'summarize']) rmSync(project.slot('configs', `${name}.yaml`));
  const answer = await project.must('run', { workspace: 'baseline', reason: REASON });
  await ended(project, answer['pipeline_run_id']);
  return new Map((answer['runs'] as Run[]).map((run) => [run.stage, run]));
}

async function ended(project: AttackedProject, target: unknown): Promise<void> {
  for (let done = false; !done; ) {
    done = (await project.must('wait', { targets: [target], timeout_seconds: 45 }))['done'] === true;
  }
}

/** Going on from a checkpoint that leads out: refused at once, or when its files are to be copied. */
async function retryFrom(project: AttackedProject, id: string): Promise<string> {
  const request = { run_id: id, reason: REASON, from_checkpoint: '00000001-x' };
  const retried = await project.call('retry', request);
  if (retried.isError) return retried.error.code;
  await ended(project, retried.structured['pipeline_run_id']);
  const [run] = retried.structured['runs'] as Run[];
  return ((await project.must('inspect_run', { run_id: run?.run_id })) as Inspected).cause;
}

for (const { name, config, bare, skip } of KINDS) {
  describe(`what a stage leaves behind in ${name}`, () => {
    it.skipIf(skip)('leads nobody out of the folders of its run', { timeout: 300_000 }, async () => {
      const project = await attackedProject(config);
      try {
        const acts = Object.keys(ACTS).filter((act) => bare || ACTS[act]?.bare !== true);
        const runs = await attack(project, acts);
        const wrong: string[] = [];
        for (const act of acts) {
          const id = runs.get(act)?.run_id ?? '';
          const { cause, failure } = (await project.must('inspect_run', { run_id: id })) as Inspected;
          const expected = ACTS[act];
          if (cause !== expected?.cause || (expected.says !== null && failure?.message !== expected.says)) {
            wrong.push(`${act}: ${cause}, ${failure?.message}`);
          }
          if (!act.startsWith('checkpoint')) continue;
          const how = await retryFrom(project, id);
          if (!['INVALID_ARGUMENT', 'INPUT_UNAVAILABLE', 'input_unavailable'].includes(how)) {
            wrong.push(`${act}: the retry ended as ${how}`);
          }
        }
        expect(wrong).toEqual([]);
        await project.endSupervisor();
        expect(await project.watch.complaints()).toEqual([]);
        const elsewhere = statSync(join(project.base, 'elsewhere.json'));
        expect([elsewhere.mode & 0o777, elsewhere.size]).toEqual([0o640, '{"elsewhere": true}'.length]);
        const skip = (path: string): boolean => path.startsWith(project.outside);
        expect(filesWith(project.base, [project.canary], skip)).toEqual([]);
        expect(project.said()).not.toContain(project.canary);
      } finally {
        await project.dispose();
      }
    });
  });
}
