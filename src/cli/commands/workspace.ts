import type { Command } from 'commander';
import type { Action } from '../cli.ts';
import { noteNext } from '../follow.ts';
import { rowsAt, textAt } from '../render/fields.ts';
import { type AddCommand, given, parseNumber } from './command.ts';
import { addToolCommand, PAGE, REASON } from './tool-command.ts';

const WORKSPACE = {
  word: '<workspace>',
  description: 'the workspace, or the slot it is in',
  key: 'workspace',
};

export const addWorkspace: AddCommand = (program, perform) => {
  const family = program.command('workspace').description('lines of experimentation').helpCommand(false);
  addCreate(family, perform);
  addList(family, perform);
  addShow(family, perform);
  addToolCommand(family, perform, {
    name: 'versions',
    description: 'versions of a workspace, newest first',
    tool: 'list_versions',
    positional: [WORKSPACE],
    options: [
      { flags: '--include-pruned', description: 'pruned ones too', key: 'include_pruned', kind: 'switch' },
      ...PAGE,
    ],
  });
  addToolCommand(family, perform, {
    name: 'hibernate',
    description: 'empty a slot; its files become a version first, ignored ones are kept aside',
    tool: 'hibernate',
    positional: [{ word: '<slot>', description: 'the slot, or the workspace in it', key: 'slot' }],
    options: [REASON],
  });
  addToolCommand(family, perform, {
    name: 'prune',
    description: 'hide versions nobody needs; numbers go on, and --restore undoes it',
    tool: 'prune_versions',
    positional: [
      WORKSPACE,
      { word: '[versions...]', description: 'v1 v2 …; or use --before-tag', key: 'versions' },
    ],
    options: [
      { flags: '--before-tag <tag>', description: 'all before the tagged one', key: 'before_tag' },
      { flags: '--restore', description: 'show them again', key: 'restore', kind: 'switch' },
      REASON,
    ],
  });
  addToolCommand(family, perform, {
    name: 'delete',
    description: 'delete a workspace; its runs, versions and outputs stay readable',
    tool: 'delete_workspace',
    positional: [WORKSPACE],
    options: [REASON],
  });
};

type CreateOptions = { goal: string; reason: string; from?: string; fromVersion?: string };

function addCreate(family: Command, perform: (action: Action) => Promise<void>): void {
  family
    .command('create')
    .description('make a workspace, new or from another one')
    .argument('<name>')
    .requiredOption('--goal <text>', 'what it is meant to find out')
    .requiredOption('--reason <text>', 'why, for the audit (at least 15 characters)')
    .option('--from <workspace>', 'begin with the files of this one')
    .option('--from-version <version>', 'at this version; default: its newest')
    .action((name: string, { goal, reason, from, fromVersion }: CreateOptions) =>
      perform(async (cli) => {
        const origin = given({ from_workspace: from, from_version: fromVersion });
        const answer = await cli.call('create_workspace', { name, goal, reason, ...origin });
        cli.show(answer, () => {
          cli.confirm(
            `Workspace ${textAt(answer, 'workspace') || name} is created at ${textAt(answer, 'version')}.`,
          );
          noteNext(cli, answer);
        });
        return undefined;
      }),
    );
}

type ListOptions = { limit?: number; cursor?: string };

function addList(family: Command, perform: (action: Action) => Promise<void>): void {
  family
    .command('list')
    .description('list workspaces')
    .option('--limit <n>', 'at most this many (default 20, at most 100)', parseNumber)
    .option('--cursor <cursor>', 'the next page, as the last one named it')
    .action(({ limit, cursor }: ListOptions) =>
      perform(async (cli) => {
        const answer = await cli.call('list_workspaces', given({ limit, cursor }));
        cli.show(answer, () => {
          const rows = rowsAt(answer, 'workspaces');
          if (rows.length === 0) cli.note('No workspaces.');
          else {
            const keys = ['name', 'slot', 'versions', 'runs', 'goal'];
            cli.table(
              keys.map((title) => ({ title, shrinks: title === 'goal' })),
              rows.map((row) => keys.map((key) => textAt(row, key))),
            );
          }
          const next = textAt(answer, 'next_cursor');
          if (next !== '') {
            const args = given({ limit, cursor: next });
            cli.note(`more: ${cli.command({ tool: 'list_workspaces', arguments: args })}`);
          }
        });
        return undefined;
      }),
    );
}

function addShow(family: Command, perform: (action: Action) => Promise<void>): void {
  family
    .command('show')
    .description('goal, versions and runs of a workspace')
    .argument('<workspace>')
    .action((workspace: string) =>
      perform(async (cli) => {
        const answer = await cli.callForText('inspect_workspace', { workspace });
        cli.show(answer.structured, () => cli.print(answer.text));
        return undefined;
      }),
    );
}
