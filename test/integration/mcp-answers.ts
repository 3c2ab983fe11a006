import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { masking } from './mcp-mask.ts';
import { type Answer, type McpSession, makeFolder, removeFolder, startSession } from './mcp-session.ts';
import { endWork } from './mcp-work.ts';

/**
 * A project of its own, asked through a real client, and of each call the whole answer, masked: what an agent reads is
 * the product.
 */
export type Answers = {
  session: McpSession;
  /** Of the last `run`: the pipeline run under `pipeline`, its runs by stage. */
  ids: Record<string, string>;
  call(tool: string, args?: object): Promise<Answer>;
  answer(tool: string, args?: object): Promise<Masked>;
  mask(answer: Answer): Masked;
  inSlot(file: string): string;
  end(): Promise<void>;
};

type Masked = { text: string; structured: unknown };

/** In a new folder, or in one that is prepared. */
export async function openAnswers(folder?: string): Promise<Answers> {
  const session = await startSession(folder ?? (await makeFolder()));
  const ids: Record<string, string> = {};
  const mask = masking();
  const remember = ({ structured }: Answer): void => {
    for (const row of (structured['runs'] ?? []) as { stage?: string; run_id?: string }[]) {
      if (row.stage && row.run_id) ids[row.stage] = row.run_id;
    }
    ids['pipeline'] = String(structured['pipeline_run_id'] ?? ids['pipeline']);
  };
  const call = async (tool: string, args: object = {}): Promise<Answer> => {
    const given = await session.call(tool, args);
    if (tool === 'run') remember(given);
    return given;
  };
  return {
    session,
    ids,
    call,
    answer: async (tool, args) => mask(await call(tool, args)),
    mask,
    inSlot: (file) => join(session.folder, 'workspaces/w1', file),
    end: async () => {
      await endWork(session);
      await session.close();
      await removeFolder(session.folder);
    },
  };
}

/** `baseline`, mounted in w1 with the template's two stages. */
export async function openMounted(): Promise<Answers> {
  const answers = await openAnswers();
  await answers.answer('initialize_project', { name: 'penguins' });
  await answers.answer('create_workspace', {
    name: 'baseline',
    goal: 'Find a first number',
    reason: 'A first line of experiments',
  });
  await answers.answer('mount', { workspace: 'baseline', reason: 'Edit the first stage' });
  return answers;
}

/** The same after its first pipeline run, which completed. */
export async function openCompleted(): Promise<Answers> {
  const answers = await openMounted();
  await answers.answer('run', { workspace: 'w1', reason: 'The first numbers ever', wait_seconds: 45 });
  return answers;
}

/** A change of one config value, and the run that follows. */
export async function runWithFewerDigits(answers: Answers): Promise<void> {
  const config = await readFile(answers.inSlot('configs/summarize.yaml'), 'utf8');
  await writeFile(answers.inSlot('configs/summarize.yaml'), config.replace('4', '1'));
  const reason = 'Fewer digits in the summary';
  await answers.answer('run', { workspace: 'baseline', reason, wait_seconds: 45 });
}

export const FAILING = "import sys\nprint('half way')\nsys.exit('ERROR: the numbers have run out')\n";
