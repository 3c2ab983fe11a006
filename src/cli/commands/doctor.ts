import type { ServerContext } from '../../context.ts';
import { isGoldfishError } from '../../core/errors.ts';
import type { Finding } from '../../doctor/checks.ts';
import type { GceFinding } from '../../doctor/gce/finding.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import type { StyleName } from '../render/style.ts';
import type { AddCommand } from './command.ts';

type AnyFinding = Finding | GceFinding;

const STYLES: Record<string, StyleName> = {
  ok: 'green',
  weaker: 'yellow',
  warning: 'yellow',
  missing: 'red',
  broken: 'red',
  failed: 'red',
  'not checked': 'dim',
};

export const addDoctor: AddCommand = (program, perform) => {
  program
    .command('doctor')
    .description('which components are there, which are not, and what mends each')
    .option('--gce', 'what rented machines need instead: each permission and setting, by one harmless call')
    .action((options: { gce?: boolean }) =>
      perform((cli) => diagnose(cli, options.gce === true ? examineRentedMachines : examineComponents)),
    );
};

type Examine = (context: ServerContext) => Promise<AnyFinding[]>;

async function examineComponents(context: ServerContext): Promise<AnyFinding[]> {
  const { examine } = await import('../../doctor/checks.ts');
  return examine(context);
}

async function examineRentedMachines(context: ServerContext): Promise<AnyFinding[]> {
  const { examineRented } = await import('../../doctor/check-gce.ts');
  return examineRented(context);
}

async function diagnose(cli: Cli, examine: Examine): Promise<Exit> {
  const findings = await look(cli, examine);
  const broken = findings.some(({ state }) => state === 'broken' || state === 'failed');
  cli.show({ ok: !broken, findings }, () => {
    cli.table(
      [
        { title: 'component' },
        { title: 'state', style: (cell) => STYLES[cell] },
        { title: 'detail', shrinks: true },
      ],
      findings.map(({ component, state, detail }) => [component, state.replace('_', ' '), detail]),
    );
    for (const { component, fix } of findings) if (fix !== null) cli.note(`${component}: ${fix}`);
  });
  return broken ? 'failed' : 'ok';
}

/** A project that cannot be opened is the first thing a doctor should be able to say. */
async function look(cli: Cli, examine: Examine): Promise<AnyFinding[]> {
  const root = await cli.projectRoot();
  const { openContext } = await import('../../context.ts');
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
