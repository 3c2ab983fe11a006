import { textAt } from '../render/fields.ts';
import type { AddCommand } from './command.ts';
import { addToolCommand, PAGE, REASON } from './tool-command.ts';

const SLOT = { word: '<slot>', description: 'the slot, or the workspace in it', key: 'slot' };

export const addCheckpoint: AddCommand = (program, perform) =>
  addToolCommand(program, perform, {
    name: 'checkpoint',
    description: 'make a version of a slot by hand',
    tool: 'checkpoint',
    positional: [SLOT],
    options: [
      { flags: '--message <text>', description: 'what this version is', key: 'message', required: true },
    ],
  });

export const addDiff: AddCommand = (program, perform) =>
  addToolCommand(program, perform, {
    name: 'diff',
    description: 'what changed in files',
    tool: 'diff',
    positional: [
      { word: '<target>', description: 'a slot, ws, ws@v3, ws@tag, @tag or a run', key: 'target' },
      { word: '[against]', description: 'default: what came before', key: 'against' },
    ],
    options: [
      {
        flags: '--path <path>',
        description: 'only this file or folder; may be given several times',
        key: 'paths',
        kind: 'list',
      },
      { flags: '--stat', description: 'files and counts only', key: 'stat_only', kind: 'switch' },
      { flags: '--cursor <cursor>', description: 'the next page, as the last one named it', key: 'cursor' },
    ],
  });

export const addRollback: AddCommand = (program, perform) =>
  addToolCommand(program, perform, {
    name: 'rollback',
    description: 'put the files of an earlier version into a slot; edits become a version first',
    tool: 'rollback',
    positional: [SLOT, { word: '<version>', description: 'v3, or a tag as @name', key: 'version' }],
    options: [REASON],
  });

export const addTag: AddCommand = (program, perform) =>
  addToolCommand(program, perform, {
    name: 'tag',
    description: 'name a version or a record; a tagged version is never pruned',
    tool: 'tag',
    positional: [
      { word: '<ref>', description: 'ws@v3 or the id of a record', key: 'ref' },
      { word: '<tag>', description: 'the name', key: 'tag' },
    ],
    options: [
      { flags: '--remove', description: 'take the tag away', key: 'remove', kind: 'switch' },
      { flags: REASON.flags, description: REASON.description, key: REASON.key },
    ],
  });

export const addHistory: AddCommand = (program, perform) =>
  addToolCommand(program, perform, {
    name: 'history',
    description: 'what was tried in a workspace and what came of it, newest first',
    tool: 'history',
    positional: [
      { word: '<workspace>', description: 'the workspace, or the slot it is in', key: 'workspace' },
    ],
    options: [
      { flags: '--stage <name>', description: 'with a run of this stage', key: 'stage' },
      { flags: '--tag <name>', description: 'with this tag', key: 'tag' },
      { flags: '--metric <name>', description: 'with this metric', key: 'metric' },
      {
        flags: '--min-value <n>',
        description: 'and at least this value of it',
        key: 'min_value',
        kind: 'number',
      },
      { flags: '--group <name>', description: 'of this group', key: 'group' },
      { flags: '--outcome <word>', description: 'that ended so: completed, failed, …', key: 'outcome' },
      { flags: '--sort <order>', description: 'the order; newest first by default', key: 'sort' },
      ...PAGE,
    ],
  });

export const addCompare: AddCommand = (program, perform) =>
  addToolCommand(program, perform, {
    name: 'compare',
    description: 'what differs between runs, in config and metrics',
    tool: 'compare',
    positional: [{ word: '<refs...>', description: '2 to 20 runs or pipeline runs', key: 'refs' }],
  });

export const addRetry: AddCommand = (program, perform) =>
  addToolCommand(program, perform, {
    name: 'retry',
    description: 'run a failed run again, with those that were canceled because of it',
    tool: 'retry',
    positional: [{ word: '<run>', description: 'id or prefix of a run', key: 'run_id' }],
    options: [
      REASON,
      {
        flags: '--from-checkpoint <name>',
        description: 'go on from a stage checkpoint of that run: its name or id, or "latest"',
        key: 'from_checkpoint',
      },
    ],
    show: (cli, { text, structured }) => {
      const id = textAt(structured, 'pipeline_run_id');
      cli.print(
        cli.options.quiet
          ? id
          : text
              .split('\n')
              .filter((line) => !line.startsWith('next: '))
              .join('\n'),
      );
    },
  });
