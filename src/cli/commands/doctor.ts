import { isGoldfishError } from '../../core/errors.ts';
import type { Finding } from '../../doctor/checks.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import type { StyleName } from '../render/style.ts';
import type { AddCommand } from './command.ts';

const STYLES: Record<string, StyleName> = { ok: 'green', weaker: 'yellow', missing: 'red', broken: 'red' };

export const addDoctor: AddCommand = (program, perform) => {
  program
    .command('doctor')
    .description('which components are there, which are not, and what mends each')
    .action(() => perform(diagnose));
};

async function diagnose(cli: Cli): Promise<Exit> {
  const findings = await look(cli);
  const broken = findings.some((finding) => finding.state === 'broken');
  cli.show({ ok: !broken, findings }, () => {
    cli.table(
      [
        { title: 'component' },
        { title: 'state', style: (cell) => STYLES[cell] },
        { title: 'detail', shrinks: true },
      ],
      findings.map(({ component, state, detail }) => [component, state, detail]),
    );
    for (const { component, fix } of findings) if (fix !== null) cli.note(`${component}: ${fix}`);
  });
  return broken ? 'failed' : 'ok';
}

/** A project that cannot be opened is the first thing a doctor should be able to say. */
async function look(cli: Cli): Promise<Finding[]> {
  const root = await cli.projectRoot();
  const [{ openContext }, { examine }] = await Promise.all([
    import('../../context.ts'),
    import('../../doctor/checks.ts'),
  ]);
  try {
    const context = await openContext({ root });
    try {
      return await examine(context);
    } finally {
      await context.close();
    }
  } catch (error) {
    if (!isGoldfishError(error)) throw error;
    return [{ component: 'project', state: 'broken', detail: error.message, fix: error.hint ?? null }];
  }
}
