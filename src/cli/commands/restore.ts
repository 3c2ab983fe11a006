import { resolve } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import type { AddCommand } from './command.ts';

/** Lost objects that are named one by one; --json names all. */
const SHOWN = 20;

type Options = { into: string; objects?: string };

export const addRestore: AddCommand = (program, perform) => {
  program
    .command('restore')
    .description('make a project from a backup, in a folder without one')
    .argument('<backup>', 'a folder that backup has made')
    .requiredOption('--into <folder>', 'the folder that becomes the project')
    .option('--objects <folder>', 'where stored content is taken from; default: the backup')
    .action((backup: string, options: Options) => perform((cli) => restore(cli, backup, options)));
};

async function restore(cli: Cli, backup: string, options: Options): Promise<Exit> {
  const { restoreBackup } = await import('../../backup/restore-backup.ts');
  const { root, createdAt, canceledRuns, objects } = await restoreBackup(
    { clock: systemClock },
    {
      backup,
      into: options.into,
      ...(options.objects === undefined ? {} : { objects: resolve(options.objects) }),
    },
  );
  const missing = objects.needed - objects.restored;
  const answer = {
    project: root,
    created_at: createdAt,
    canceled_runs: canceledRuns,
    objects: objects.restored,
    missing_objects: missing,
    lost: objects.lost,
  };
  cli.show(answer, () => {
    cli.confirm(`${root} is the project as it was at ${createdAt}.`);
    if (canceledRuns > 0) cli.note(`${canceledRuns} runs were open then; they are canceled here.`);
    for (const { hash, fault, was } of objects.lost.slice(0, SHOWN)) {
      cli.note(`${was ?? 'A part of a folder'} is ${fault} in the backup: ${hash}.`);
    }
    if (missing > SHOWN) cli.note(`So are ${missing - SHOWN} more.`);
    if (missing > 0)
      cli.note(`${missing} of ${objects.needed} stored objects are not restored: see --objects.`);
  });
  return missing === 0 ? 'ok' : 'failed';
}
