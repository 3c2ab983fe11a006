import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../src/core/errors.ts';
import { createRandom, type Random } from '../faults/kit/random.ts';
import { goldfish } from '../integration/cli-program.ts';
import { startSession } from '../integration/mcp-session.ts';
import { until } from '../integration/until.ts';

type Row = Record<string, unknown>;
type Answer = { structured: Row; error: { code: string; message: string } | undefined };

/** A server that a client talks to, or a command that is started for every call. */
export type Caller = {
  call(tool: string, args: Row): Promise<Answer>;
  close(): Promise<void>;
};

export async function serverCaller(root: string): Promise<Caller> {
  const session = await startSession(root, ['--toolsets', 'all']);
  return {
    call: async (tool, args) => {
      const { structured, isError, error } = await session.call(tool, args);
      return { structured, error: isError ? error : undefined };
    },
    close: () => session.close(),
  };
}

export function commandCaller(root: string): Caller {
  return {
    call: async (tool, args) => {
      const { out, err } = await goldfish(['call', tool, JSON.stringify(args), '--json'], { cwd: root });
      try {
        const structured = JSON.parse(out) as Row;
        return { structured, error: structured['error'] as Answer['error'] };
      } catch {
        return { structured: {}, error: { code: 'NO_ANSWER', message: `${out}${err}` } };
      }
    },
    close: async () => undefined,
  };
}

/** Where a caller works: its own workspace, and those that all share. */
export type Places = {
  root: string;
  /** A folder beside the project, on its file system. */
  outside: string;
  own: { workspace: string; slot: string };
  shared: readonly { workspace: string; slot: string }[];
  /** Workspaces that are mounted and put away by everybody. */
  contested: readonly string[];
  /** Where a workspace is mounted at this moment. */
  slotNow(workspace: string): string | undefined;
};

/** What a call had written into a slot before. Nobody else writes a file of that path, except of a shared config. */
export type Wrote = {
  into: 'own' | 'shared' | 'contested';
  /** As it was mounted in the slot then. */
  workspace: string;
  path: string;
  text: string;
};

export const CONFIG = 'configs/note.yaml';

export type Made = {
  caller: number;
  tool: string;
  marker: string;
  /** `ok`, or the code of the refusal. */
  outcome: string;
  message: string;
  /** Whether an audit row is due. */
  mutating: boolean;
  wrote: Wrote | undefined;
  answer: Row;
  args: Row;
};

/** Refusals that are right where others do the same at the same time. Everything else must not be. */
export const RIGHT_REFUSALS: Readonly<Record<string, readonly string[]>> = {
  create_workspace: ['WORKSPACE_EXISTS'],
  mount: ['SLOT_OCCUPIED'],
  hibernate: ['SLOT_EMPTY'],
  tag: ['TAG_EXISTS'],
};

type Asked = { tool: string; args: Row; mutating: boolean; wrote?: Wrote | undefined };
type Step = (random: Random, marker: string) => Asked | Promise<Asked>;

/** Makes calls one after the other, each of a kind and on a place that the seed decides. */
export async function makeMixedCalls(
  caller: Caller,
  of: { number: number; calls: number; runs: number; seed: number; places: Places },
): Promise<Made[]> {
  const random = createRandom(of.seed + of.number * 7_919);
  const pipelineRuns: string[] = [];
  const steps = stepsOf(of.places, pipelineRuns);
  const made: Made[] = [];
  const runAt = new Set(random.some([...Array(of.calls).keys()], of.runs));
  for (let n = 0; n < of.calls; n += 1) {
    const marker = `call ${of.number}-${n} of many`;
    const step = runAt.has(n) ? steps.run : random.pick(steps.others);
    const { tool, args, mutating, wrote } = await step(random, marker);
    // The others go on: what one waits for in vain, another may hold.
    const { structured, error } = await caller.call(tool, args).catch(noAnswer);
    const outcome = error?.code ?? 'ok';
    made.push({
      caller: of.number,
      tool,
      marker,
      outcome,
      message: error?.message ?? '',
      mutating,
      wrote,
      answer: structured,
      args,
    });
    if (tool === 'run' && !error) pipelineRuns.push(String(structured['pipeline_run_id']));
  }
  return made;
}

function noAnswer(error: unknown): Answer {
  return { structured: {}, error: { code: 'NO_ANSWER', message: String(error) } };
}

function stepsOf(places: Places, pipelineRuns: readonly string[]): { run: Step; others: [Step, ...Step[]] } {
  const { own, shared, contested } = places;
  const everywhere = [own, ...shared] as const;
  const reading =
    (tool: string, args: (random: Random) => Row): Step =>
    (random) => ({
      tool,
      args: args(random),
      mutating: false,
    });
  const changing =
    (tool: string, args: (random: Random, marker: string) => Row): Step =>
    (random, marker) => ({
      tool,
      args: args(random, marker),
      mutating: true,
    });
  const any = (random: Random): { workspace: string; slot: string } => random.pick(everywhere);
  const write = async (
    { workspace, slot }: { workspace: string; slot: string },
    file: { path: string; text: string },
  ): Promise<Wrote> => {
    await edit(places, slot, file);
    const into = workspace === own.workspace ? 'own' : contested.includes(workspace) ? 'contested' : 'shared';
    return { into, workspace, ...file };
  };
  const name = (marker: string): string => marker.replaceAll(/[^0-9]+/g, '-').replaceAll(/^-|-$/g, '');
  return {
    run: async (random, reason) => {
      const place = any(random);
      // Half of them are equal to one that was made before.
      const isNew = random.next() < 0.5;
      const text = `k: ${random.between(1, 1_000_000)}\n`;
      const wrote = isNew ? await write(place, { path: CONFIG, text }) : undefined;
      return { tool: 'run', args: { workspace: place.workspace, reason }, mutating: true, wrote };
    },
    others: [
      async (random, message) => {
        const place = any(random);
        const wrote = await write(place, { path: `notes-${name(message)}.txt`, text: message });
        return { tool: 'checkpoint', args: { slot: place.slot, message }, mutating: true, wrote };
      },
      async (_, message) => {
        const wrote = await write(own, { path: 'notes.txt', text: message });
        return { tool: 'checkpoint', args: { slot: own.slot, message }, mutating: true, wrote };
      },
      changing('tag', (random, reason) => ({
        ref: any(random).workspace,
        tag: `tag-${name(reason)}`,
        reason,
      })),
      changing('tag', (random, reason) => ({
        ref: `${random.pick(shared as [Shared, ...Shared[]]).workspace}@v1`,
        tag: `best-${random.between(0, 3)}`,
        reason,
      })),
      changing('log_thought', (random, thought) => ({ thought, workspace: any(random).workspace })),
      changing('rollback', (random, reason) => ({ slot: any(random).slot, version: 'v2', reason })),
      changing('create_workspace', (random, reason) => ({
        name: random.next() < 0.5 ? `new-${name(reason)}` : `wanted-${random.between(0, 5)}`,
        goal: 'One of many',
        reason,
      })),
      changing('mount', (random, reason) => ({
        workspace: random.pick(contested as [string, ...string[]]),
        reason,
      })),
      async (random, reason) => {
        const workspace = random.pick(contested as [string, ...string[]]);
        const slot = places.slotNow(workspace);
        const file = { path: `kept-${name(reason)}.txt`, text: reason };
        const wrote = slot === undefined ? undefined : await write({ workspace, slot }, file);
        return { tool: 'hibernate', args: { slot: workspace, reason }, mutating: true, wrote };
      },
      changing('cancel', (random, reason) => ({ target: someRun(random, pipelineRuns), reason })),
      reading('list_workspaces', () => ({})),
      reading('list_runs', () => ({})),
      reading('list_versions', (random) => ({ workspace: any(random).workspace })),
      reading('inspect_workspace', (random) => ({ workspace: any(random).workspace })),
      reading('diff', (random) => ({ target: any(random).slot, stat_only: true })),
      reading('status', () => ({})),
      reading('wait', (random) => ({ targets: [someRun(random, pipelineRuns)], timeout_seconds: 1 })),
    ],
  };
}

/** At once, as good editors do; where somebody rolls the slot back, its folders are away for a moment. */
async function edit(
  { root, outside }: Places,
  slot: string,
  { path, text }: { path: string; text: string },
): Promise<void> {
  const aside = join(outside, `${slot}-${text.replaceAll(/\W+/g, '-')}`);
  writeFileSync(aside, text);
  const isThere = (): boolean => {
    try {
      renameSync(aside, join(root, 'workspaces', slot, path));
      return true;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      return false;
    }
  };
  await until(isThere, `the folder of ${path} in ${slot}`);
}

type Shared = Places['shared'][number];

/** One of its own; before there is any, one that does not exist, which is refused as such. */
function someRun(random: Random, pipelineRuns: readonly string[]): string {
  const [first, ...rest] = pipelineRuns;
  return first === undefined ? 'prun-000000000000' : random.pick([first, ...rest]);
}

/** How often the stage of each run was executed, as the stage itself says outside of the project. */
export function executions(outside: string): Map<string, number> {
  const file = join(outside, 'executed');
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const counts = new Map<string, number>();
  for (const line of lines) if (line !== '') counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}
