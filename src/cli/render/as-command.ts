import { isJsonObject } from '../../core/json.ts';
import type { Row } from './fields.ts';

/** How an argument of a tool is written as an option: with its value, once per item, or as a switch. */
type Flag = { option: string; kind: 'value' | 'list' | 'if-true' | 'if-false' };
type Mapping = { command: string; positional?: string; flags: Record<string, Flag> };

const value = (option: string): Flag => ({ option, kind: 'value' });
const list = (option: string): Flag => ({ option, kind: 'list' });

/** Tools with a command of their own. A call with an argument that is not listed is written with `goldfish call`. */
const COMMANDS: Record<string, Mapping> = {
  initialize_project: { command: 'init', positional: 'name', flags: {} },
  status: { command: 'status', flags: {} },
  validate: { command: 'validate', positional: 'workspace', flags: { pipeline: value('--pipeline') } },
  run: {
    command: 'run',
    positional: 'workspace',
    flags: {
      stages: list('--stage'),
      pipeline: value('--pipeline'),
      profile: value('--profile'),
      backend: value('--backend'),
      group: value('--group'),
      dry_run: { option: '--dry-run', kind: 'if-true' },
      use_cache: { option: '--no-cache', kind: 'if-false' },
      max_restarts: value('--max-restarts'),
      replicate: value('--replicate'),
      idempotency_key: value('--idempotency-key'),
      reason: value('--reason'),
    },
  },
  list_runs: {
    command: 'runs',
    flags: {
      workspace: value('--workspace'),
      stage: value('--stage'),
      state: value('--state'),
      pipeline_run_id: value('--pipeline-run'),
      group: value('--group'),
      since: value('--since'),
      limit: value('--limit'),
      cursor: value('--cursor'),
    },
  },
  logs: {
    command: 'logs',
    positional: 'run_id',
    flags: {
      stream: value('--stream'),
      tail: value('--tail'),
      grep: value('--grep'),
      cursor: value('--cursor'),
    },
  },
  wait: { command: 'wait', positional: 'targets', flags: {} },
  cancel: { command: 'cancel', positional: 'target', flags: { reason: value('--reason') } },
  create_workspace: {
    command: 'workspace create',
    positional: 'name',
    flags: {
      goal: value('--goal'),
      from_workspace: value('--from'),
      from_version: value('--from-version'),
      reason: value('--reason'),
    },
  },
  list_workspaces: {
    command: 'workspace list',
    flags: { limit: value('--limit'), cursor: value('--cursor') },
  },
  inspect_workspace: { command: 'workspace show', positional: 'workspace', flags: {} },
  hibernate: { command: 'workspace hibernate', positional: 'slot', flags: { reason: value('--reason') } },
  delete_workspace: {
    command: 'workspace delete',
    positional: 'workspace',
    flags: { reason: value('--reason') },
  },
  list_versions: {
    command: 'workspace versions',
    positional: 'workspace',
    flags: { limit: value('--limit'), cursor: value('--cursor') },
  },
  checkpoint: { command: 'checkpoint', positional: 'slot', flags: { message: value('--message') } },
  diff: {
    command: 'diff',
    positional: 'target',
    flags: {
      paths: list('--path'),
      stat_only: { option: '--stat', kind: 'if-true' },
      cursor: value('--cursor'),
    },
  },
  compare: { command: 'compare', positional: 'refs', flags: {} },
  retry: {
    command: 'retry',
    positional: 'run_id',
    flags: { reason: value('--reason'), from_checkpoint: value('--from-checkpoint') },
  },
  history: {
    command: 'history',
    positional: 'workspace',
    flags: {
      stage: value('--stage'),
      tag: value('--tag'),
      group: value('--group'),
      limit: value('--limit'),
      cursor: value('--cursor'),
    },
  },
  list_sources: { command: 'sources list', flags: { limit: value('--limit'), cursor: value('--cursor') } },
  inspect_source: {
    command: 'sources show',
    positional: 'name',
    flags: {},
  },
  warm_pool_status: { command: 'pool', flags: {} },
  warm_pool_cleanup: {
    command: 'pool cleanup',
    positional: 'worker',
    flags: { reason: value('--reason') },
  },
  mount: {
    command: 'mount',
    positional: 'workspace',
    flags: { slot: value('--slot'), reason: value('--reason') },
  },
};

/** A tool call as the line somebody would type in a POSIX shell. `project` is what was given with `--project`. */
export function asCommand(
  call: { tool: string; arguments: Row },
  options: { project?: string | undefined } = {},
): string {
  const words = commandWords(call) ?? ['call', call.tool, ...jsonWords(call.arguments)];
  const project = options.project === undefined ? [] : ['--project', options.project];
  return ['goldfish', ...words, ...project].map(shellWord).join(' ');
}

function jsonWords(args: Row): string[] {
  return Object.keys(args).length === 0 ? [] : [JSON.stringify(args)];
}

function commandWords(call: { tool: string; arguments: Row }): string[] | undefined {
  const mapping = Object.hasOwn(COMMANDS, call.tool) ? COMMANDS[call.tool] : undefined;
  if (mapping === undefined) return undefined;
  const words = mapping.command.split(' ');
  const { [mapping.positional ?? '']: positional, ...rest } = call.arguments;
  for (const item of Array.isArray(positional) ? positional : [positional]) {
    if (item === undefined) continue;
    // A word that begins with a dash would be read as an option.
    if (typeof item !== 'string' || item.startsWith('-')) return undefined;
    words.push(item);
  }
  for (const [key, item] of Object.entries(rest)) {
    const flag = Object.hasOwn(mapping.flags, key) ? mapping.flags[key] : undefined;
    const written = flag && flagWords(flag, item);
    if (written === undefined) return undefined;
    words.push(...written);
  }
  return words;
}

function flagWords(flag: Flag, item: unknown): string[] | undefined {
  if (flag.kind === 'if-true') return item === true ? [flag.option] : [];
  if (flag.kind === 'if-false') return item === false ? [flag.option] : [];
  if (isJsonObject(item) || item === null) return undefined;
  const items = flag.kind === 'list' && Array.isArray(item) ? item : [item];
  return items.flatMap((one) => [flag.option, `${one}`]);
}

/** Quoted for a POSIX shell where that is needed. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
