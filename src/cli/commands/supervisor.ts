import { Option } from 'commander';
import { hostEnvironment } from '../../config/host.ts';
import type { ServerContext } from '../../context.ts';
import { assetPath } from '../../core/assets.ts';
import type { Logger } from '../../core/logger.ts';
import type { SuperviseProjectEnd } from '../../supervisor/supervise-project.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import { formatAge } from '../render/durations.ts';
import { supervisorUnit } from '../render/systemd-unit.ts';
import { plainLine } from '../render/terminal-text.ts';
import type { AddCommand } from './command.ts';

export const addSupervisor: AddCommand = (program, perform) => {
  program
    .command('supervisor')
    .description('advance the work of the project, in the foreground, until nothing is left to do')
    .option('--status', 'only say who does it now')
    .addOption(
      new Option('--install', 'only print a unit for systemd that does it from your login on').conflicts(
        'status',
      ),
    )
    .action(({ status, install }: { status?: true; install?: true }) =>
      perform((cli) => (status ? showLease(cli) : install ? printUnit(cli) : superviseHere(cli))),
    );
};

/** Written nowhere: whoever wants it saves it where its first line says. */
async function printUnit(cli: Cli): Promise<Exit> {
  const root = await cli.projectRoot();
  const { loadConfig } = await import('../../config/load-config.ts');
  const { config } = await loadConfig({ root });
  const { name, text } = supervisorUnit({
    project: { name: config.projectName, root },
    node: process.execPath,
    launcher: assetPath('bin/goldfish.js'),
    searchPath: hostEnvironment()['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
  });
  cli.show({ name, unit: text }, () => cli.print(text.trimEnd()));
  return 'ok';
}

async function superviseHere(cli: Cli): Promise<Exit> {
  const root = await cli.projectRoot();
  const stop = new AbortController();
  let signalled: NodeJS.Signals | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      signalled = name;
      stop.abort();
    });
  }
  const [{ openContext }, { superviseProject }] = await Promise.all([
    import('../../context.ts'),
    import('../../supervisor/supervise-project.ts'),
  ]);
  const log = stderrLogger(cli);
  const end = await superviseProject(() => openContext({ root, role: 'supervisor', log }), {
    signal: stop.signal,
  });
  if (cli.options.json) cli.show({ end }, () => undefined);
  return signalled === 'SIGINT' ? 'interrupted' : reportEnd(cli, end);
}

const ENDS: Record<SuperviseProjectEnd, { word: string; exit: Exit }> = {
  idle: { word: 'Nothing is left to do.', exit: 'ok' },
  stopped: { word: 'Stopped; what runs goes on and is taken up by the next supervisor.', exit: 'ok' },
  lease_held: { word: 'Another supervisor is at work: goldfish supervisor --status', exit: 'refused' },
  lease_lost: { word: 'Another supervisor has taken over.', exit: 'refused' },
};

function reportEnd(cli: Cli, end: SuperviseProjectEnd): Exit {
  cli.note(ENDS[end].word);
  return ENDS[end].exit;
}

async function showLease(cli: Cli): Promise<Exit> {
  const root = await cli.projectRoot();
  const { openContext } = await import('../../context.ts');
  const context = await openContext({ root });
  try {
    const lease = await describeLease(context);
    cli.show(lease, () => {
      const work = `${lease.open_runs} open ${lease.open_runs === 1 ? 'run' : 'runs'}`;
      const since = lease.since === null ? '' : ` for ${formatAge(lease.since, cli.clock.now())}`;
      cli.print(
        lease.running
          ? `A supervisor is at work${since} (process ${lease.pid}, version ${lease.version}); ${work}.`
          : `No supervisor is at work; ${work}.`,
      );
    });
    return 'ok';
  } finally {
    await context.close();
  }
}

async function describeLease(context: ServerContext) {
  const [{ readLease }, { isLeaseHeld }, { countOpenStageRuns }] = await Promise.all([
    import('../../store/lease.ts'),
    import('../../runs/supervisor-lease.ts'),
    import('../../store/stage-runs.ts'),
  ]);
  const lease = readLease(context.db);
  const running = isLeaseHeld(lease, context.clock);
  return {
    running,
    pid: running ? lease.pid : null,
    version: running ? lease.goldfishVersion : null,
    since: running ? lease.acquiredAt : null,
    heartbeat_at: lease.heartbeatAt,
    open_runs: countOpenStageRuns(context.db),
  };
}

/** Lines for whoever runs it in the foreground, a person or a service manager. */
function stderrLogger(cli: Cli): Logger {
  const at = (level: keyof Logger) => (fields: Record<string, unknown>, message: string) => {
    if (level === 'debug' || (cli.options.quiet && level === 'info')) return;
    const time = new Date(cli.clock.now()).toISOString();
    cli.streams.err.write(`${plainLine(`${time} ${level} ${message} ${fieldsText(fields)}`)}\n`);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function fieldsText(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .map(
      ([key, value]) =>
        `${key}=${value instanceof Error ? (value.stack ?? value.message) : JSON.stringify(value)}`,
    )
    .join(' ');
}
