import { access, constants } from 'node:fs/promises';
import type { ServerContext } from '../context.ts';
import { messageOf } from '../core/errors.ts';
import { diskSpace } from '../os/disk-space.ts';
import { isLeaseHeld } from '../runs/supervisor-lease.ts';
import { checkDatabase } from '../store/database.ts';
import { readLease } from '../store/lease.ts';
import { countOpenStageRuns } from '../store/stage-runs.ts';

/** `weaker`: it works, with less than there could be. */
export type Finding = {
  component: string;
  state: 'ok' | 'weaker' | 'missing' | 'broken';
  detail: string;
  /** The command, or the change, that mends it. */
  fix: string | null;
};

type Check = (context: ServerContext) => Promise<Finding[]>;

/** What the project stands on, each part looked at on its own: one that cannot be looked at is a finding too. */
const CHECKS: Record<string, Check> = {
  node: async () => [ok('node', `Node ${process.versions.node}`)],
  'version store': checkVersionStore,
  database: checkStore,
  disk: checkDisk,
  backends: checkBackends,
  supervisor: checkSupervisor,
};

export async function examine(context: ServerContext): Promise<Finding[]> {
  const findings = await Promise.all(
    Object.entries(CHECKS).map(([component, check]) =>
      check(context).catch((error: unknown): Finding[] => [
        { component, state: 'broken', detail: messageOf(error), fix: null },
      ]),
    ),
  );
  return findings.flat();
}

function ok(component: string, detail: string): Finding {
  return { component, state: 'ok', detail, fix: null };
}

async function checkVersionStore({ workspaces }: ServerContext): Promise<Finding[]> {
  const program = await workspaces.program();
  if (program === null) {
    return [
      {
        component: 'version store',
        state: 'missing',
        detail: 'git was not found; workspaces and versions need it',
        fix: 'apt-get install git',
      },
    ];
  }
  return [ok('version store', `git ${program}`)];
}

async function checkStore({ db }: ServerContext): Promise<Finding[]> {
  const problem = checkDatabase(db);
  if (problem === null) return [ok('database', 'reads and checks clean')];
  const fix =
    'stop what uses the project, then make another from a backup: goldfish restore BACKUP --into FOLDER';
  return [{ component: 'database', state: 'broken', detail: problem, fix }];
}

async function checkDisk({ layout }: ServerContext): Promise<Finding[]> {
  const { freeBytes } = await diskSpace(layout.stateDir);
  const writable = await access(layout.stateDir, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (writable) return [ok('disk', `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free`)];
  const fix = 'make the state folder writable for this user';
  return [{ component: 'disk', state: 'broken', detail: 'the state folder cannot be written', fix }];
}

async function checkBackends({ backends }: ServerContext): Promise<Finding[]> {
  return Promise.all(
    backends.names.map(async (name): Promise<Finding> => {
      const component = `backend ${name}`;
      const probe = await (await backends.get(name)).probe();
      const fix = probe.hint ?? null;
      if (!probe.available) return { component, state: 'missing', detail: probe.why, fix };
      return { component, state: fix === null ? 'ok' : 'weaker', detail: probe.why, fix };
    }),
  );
}

async function checkSupervisor({ db, clock, backends }: ServerContext): Promise<Finding[]> {
  const neglect = await backends.tending.neglect();
  if (neglect !== null) {
    return [{ component: 'supervisor', state: 'broken', detail: neglect.message, fix: neglect.hint }];
  }
  const open = countOpenStageRuns(db);
  const held = isLeaseHeld(readLease(db), clock);
  const work = `${open} open ${open === 1 ? 'run' : 'runs'}`;
  if (held) return [ok('supervisor', `at work, ${work}`)];
  if (open === 0) return [ok('supervisor', 'none is needed: nothing is open')];
  const detail = `none is at work, ${work}`;
  return [{ component: 'supervisor', state: 'broken', detail, fix: 'goldfish supervisor' }];
}
