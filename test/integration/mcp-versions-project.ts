import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Answers, openAnswers } from './mcp-answers.ts';
import { makeFolder } from './mcp-session.ts';
import { wholeProject } from './project-state.ts';

export const REASON = 'A reason that is long enough';

/** Fails as long as its config says so. */
const SUMMARIZE = `from goldfish import config, load_input, log_metric, save_output

if config()["fail"]:
    raise SystemExit("told to fail")
numbers = [float(row["value"]) for row in load_input("numbers", plain=True)]
log_metric("mean", sum(numbers) / len(numbers))
save_output("summary", {"count": len(numbers)})
`;

/** `baseline` in w1, whose first pipeline run has failed because its config says so; its ids are known. */
export async function openFailed(): Promise<Answers> {
  const folder = await makeFolder();
  await writeFile(join(folder, 'goldfish.yaml'), 'project_name: versions\ndefaults: { backend: process }\n');
  const answers = await openAnswers(folder);
  await done(answers, 'create_workspace', { name: 'baseline', goal: 'Find a first number', reason: REASON });
  await done(answers, 'mount', { workspace: 'baseline', reason: REASON });
  await writeFile(answers.inSlot('configs/summarize.yaml'), 'fail: true\n');
  await writeFile(answers.inSlot('modules/summarize.py'), SUMMARIZE);
  const call = { workspace: 'baseline', reason: REASON, group: 'first', wait_seconds: 45 };
  expect((await done(answers, 'run', call))['state']).toBe('failed');
  return answers;
}

/** The same with what came after: a retry that completed, tags, versions, a rollback, a deleted workspace. */
export async function openWithHistory(): Promise<Answers> {
  const answers = await openFailed();
  const { ids } = answers;
  const retried = await done(answers, 'retry', {
    run_id: ids['summarize'],
    reason: REASON,
    config_override: { summarize: { fail: false } },
  });
  ids['retry'] = String(retried['pipeline_run_id']);
  await done(answers, 'wait', { targets: [ids['retry']] });
  await done(answers, 'checkpoint', { slot: 'w1', message: 'The one that was told to fail' });
  await done(answers, 'tag', { ref: 'baseline', tag: 'told-to-fail' });
  await done(answers, 'tag', { ref: ids['retry'], tag: 'best' });
  await writeFile(answers.inSlot('configs/summarize.yaml'), 'fail: false\n');
  await done(answers, 'checkpoint', { slot: 'w1', message: 'No longer told to fail' });
  await writeFile(answers.inSlot('notes.txt'), 'not saved yet\n');
  await done(answers, 'rollback', { slot: 'w1', version: '@told-to-fail', reason: REASON });
  await done(answers, 'create_workspace', { name: 'spare', goal: 'Be there for a while', reason: REASON });
  await done(answers, 'delete_workspace', { workspace: 'spare', reason: REASON });
  await done(answers, 'create_workspace', { name: 'spare', goal: 'Once more', reason: REASON });
  return answers;
}

async function done(answers: Answers, tool: string, args: object): Promise<Record<string, unknown>> {
  const { structured, error } = await answers.call(tool, args);
  expect({ tool, error }).toEqual({ tool, error: undefined });
  return structured;
}

/** Refused, with what is to be done; and nothing is changed by it. */
export async function refusalOf(answers: Answers, tool: string, args: object): Promise<unknown> {
  const before = await wholeProject(answers.session.folder);
  const { isError, error } = await answers.call(tool, args);
  expect(isError).toBe(true);
  expect(await wholeProject(answers.session.folder)).toEqual(before);
  return answers.mask({ isError, error, text: '', structured: { error } }).structured;
}
