import { join, resolve } from 'node:path';
import { formatBytes } from '../../core/memory-size.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import type { AddCommand } from './command.ts';

/** Lost objects that are named, each in a line. */
const SHOWN = 10;

type Options = { into?: string; list?: true; objects: boolean };

export const addBackup: AddCommand = (program, perform) => {
  program
    .command('backup')
    .description('copy the whole project, while it is in use')
    .option('--into <folder>', 'where backups lie; default: backups/ in the project')
    .option('--no-objects', 'without stored outputs and sources, which a restore then takes from elsewhere')
    .option('--list', 'only list what backups there are')
    .action((options: Options) => perform((cli) => backUp(cli, options)));
};

async function backUp(cli: Cli, options: Options): Promise<Exit | undefined> {
  const root = await cli.projectRoot();
  const into = options.into === undefined ? join(root, 'backups') : resolve(options.into);
  if (options.list) return list(cli, into);
  const [{ openContext }, { createBackup }, { backupSize }] = await Promise.all([
    import('../../context.ts'),
    import('../../backup/create-backup.ts'),
    import('../../backup/list-backups.ts'),
  ]);
  const context = await openContext({ root });
  try {
    const { config, ...deps } = context;
    const request = { into, withObjects: options.objects };
    const named = { ...deps, projectName: config.projectName };
    const { folder, manifest, missing } = await createBackup(named, request);
    const { files, objects, hasObjects } = manifest;
    const size = backupSize(manifest);
    const counts = { size, files: files.length, objects: objects.length };
    cli.show({ folder, ...counts, has_objects: hasObjects, missing }, () => {
      cli.print(folder);
      cli.note(`${formatBytes(size)}. Not in it: edits that no version has, logs, checkpoints of stages.`);
      for (const { hash, was } of missing.slice(0, SHOWN)) {
        cli.note(`${was ?? 'An input'} is missing in the project’s storage, and so in the backup: ${hash}.`);
      }
      if (missing.length > SHOWN) cli.note(`So are ${missing.length - SHOWN} more.`);
    });
    return missing.length === 0 ? 'ok' : 'failed';
  } finally {
    await context.close();
  }
}

async function list(cli: Cli, into: string): Promise<undefined> {
  const { listBackups } = await import('../../backup/list-backups.ts');
  const backups = await listBackups(into);
  const rows = backups.map(({ name, createdAt, size, objects, hasObjects }) => ({
    folder: join(into, name),
    created_at: createdAt,
    size,
    objects,
    has_objects: hasObjects,
  }));
  cli.show({ backups: rows }, () => {
    if (rows.length === 0) return cli.note(`There is no backup in ${into}.`);
    cli.table(
      [{ title: 'backup' }, { title: 'made' }, { title: 'size', align: 'right' }, { title: 'objects' }],
      rows.map((row) => [
        row.folder,
        row.created_at,
        formatBytes(row.size),
        row.has_objects ? `${row.objects}` : `${row.objects}, elsewhere`,
      ]),
    );
  });
  return undefined;
}
