import type { AddCommand } from './command.ts';
import { addToolCommand, PAGE, REASON } from './tool-command.ts';

const NAME = { word: '<name>', description: 'the name of the source', key: 'name' };
const DESCRIPTION = {
  flags: '--description <text>',
  description: 'what the data are',
  key: 'description',
  required: true,
} as const;

export const addSources: AddCommand = (program, perform) => {
  const family = program.command('sources').description('registered data').helpCommand(false);
  addToolCommand(family, perform, {
    name: 'add',
    description: 'copy a file or folder and pin it by content; the same name again makes the next version',
    tool: 'register_source',
    again: 'in_progress',
    positional: [NAME, { word: '<path>', description: 'in the project, or below a data root', key: 'uri' }],
    options: [
      DESCRIPTION,
      { flags: '--fingerprint <how>', description: 'full (default), sample or declared', key: 'fingerprint' },
      REASON,
    ],
  });
  addToolCommand(family, perform, {
    name: 'list',
    description: 'list sources',
    tool: 'list_sources',
    options: PAGE,
  });
  addToolCommand(family, perform, {
    name: 'show',
    description: 'one source: versions, where it came from, who reads it',
    tool: 'inspect_source',
    positional: [NAME, { word: '[version]', description: 'v2; default: the newest', key: 'version' }],
  });
  addToolCommand(family, perform, {
    name: 'delete',
    description: 'delete a source that nobody uses',
    tool: 'delete_source',
    positional: [NAME],
    options: [REASON],
  });
  addToolCommand(family, perform, {
    name: 'promote',
    description: 'make an output of a run a source',
    tool: 'promote_artifact',
    positional: [
      { word: '<run>', description: 'id or prefix of a run', key: 'run_id' },
      { word: '<output>', description: 'the name of the output', key: 'output' },
      { word: '<name>', description: 'the name of the source', key: 'source_name' },
    ],
    options: [DESCRIPTION, REASON],
  });
};
