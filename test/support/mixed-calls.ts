import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRandom, type Random } from '../faults/kit/random.ts';
import { goldfish } from '../integration/cli-program.ts';
import { startSession } from '../integration/mcp-session.ts';

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
  own: { workspace: string; slot: string };
  shared: readonly { workspace: string; slot: string }[];
  /** Workspaces that are mounted and put away by everybody. */
  contested: readonly string[];
};

export type Made = {
  caller: number;
  tool: string;
  marker: string;
  /** `ok`, or the code of the refusal. */
  outcome: string;
  message: string;
  /** Whether an audit row is due. */
  mutating: boolean;
  /** What it had written into its slot before; nobody else writes a file of that name. */
  file: string | undefined;
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

type Step = (random: Random, marker: string) => { tool: string; args: Row; mutating: boolean; file?: string };

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
    const { tool, args, mutating, file } = step(random, marker);
    const { structured, error } = await caller.call(tool, args);
    const outcome = error?.code ?? 'ok';
    made.push({
      caller: of.number,
      tool,
      marker,
      outcome,
      message: error?.message ?? '',
      mutating,
      file,
      answer: structured,
      args,
    });
    if (tool === 'run' && !error) pipelineRuns.push(String(structured['pipeline_run_id']));
  }
  return made;
}

function stepsOf(places: Places, pipelineRuns: readonly string[]): { run: Step; others: [Step, ...Step[]] } {
  const { root, own, shared, contested } = places;
  const everywhere = [own, ...shared] as const;
  const edit = (slot: string, name: string, text: string): void =>
    writeFileSync(join(root, 'workspaces', slot, name), text);
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
  const name = (marker: string): string => marker.replaceAll(/[^0-9]+/g, '-').replaceAll(/^-|-$/g, '');
  return {
    run: changing('run', (random, reason) => {
      const { workspace, slot } = any(random);
      // Half of them are equal to one that was made before.
      if (random.next() < 0.5) edit(slot, 'configs/note.yaml', `k: ${random.between(1, 1_000_000)}\n`);
      return { workspace, reason };
    }),
    others: [
      (random, message) => {
        const { slot } = any(random);
        const file = `notes-${name(message)}.txt`;
        edit(slot, file, message);
        return { tool: 'checkpoint', args: { slot, message }, mutating: true, file };
      },
      changing('checkpoint', (_, message) => {
        edit(own.slot, 'notes.txt', message);
        return { slot: own.slot, message };
      }),
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
      changing('rollback', (_, reason) => ({ slot: own.slot, version: 'v2', reason })),
      changing('create_workspace', (random, reason) => ({
        name: random.next() < 0.5 ? `new-${name(reason)}` : `wanted-${random.between(0, 5)}`,
        goal: 'One of many',
        reason,
      })),
      changing('mount', (random, reason) => ({
        workspace: random.pick(contested as [string, ...string[]]),
        reason,
      })),
      changing('hibernate', (random, reason) => ({
        slot: random.pick(contested as [string, ...string[]]),
        reason,
      })),
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
