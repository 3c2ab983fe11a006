import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { isAbsolute, join, sep } from 'node:path';
import { searchPath } from '../host-options.ts';
import type { ProcessBackendOptions } from './options.ts';

/** What stands between a stage and the machine. `unknown`: it could not be tried now. */
export type Sandbox =
  | { kind: 'bubblewrap'; program: string }
  | { kind: 'none'; why: string; missing: boolean }
  | { kind: 'unknown'; why: string };

export const INSTALL_SANDBOX = 'On Debian: apt-get install bubblewrap.';

const TRIAL = [
  '--ro-bind',
  '/',
  '/',
  '--dev',
  '/dev',
  '--proc',
  '/proc',
  '--unshare-pid',
  '--unshare-ipc',
  '--',
];

const TRIAL_MS = 10_000;
/** bubblewrap gives up where somebody takes a mount away while it copies the machine's mounts. */
const TRIES = 4;

/** Looks for bubblewrap and tries it (7 ms): where namespaces are forbidden it is there and yet of no use. */
export function findSandbox(
  options: Pick<ProcessBackendOptions, 'sandbox' | 'hostEnvironment'>,
  limitMs = TRIAL_MS,
): Sandbox {
  if (options.sandbox === 'none') return { kind: 'none', why: 'process.sandbox is none', missing: false };
  const path = searchPath(options);
  const program = path
    .split(':')
    .filter(isAbsolute)
    .map((folder) => join(folder, 'bwrap'))
    .find(isExecutable);
  if (program === undefined) return { kind: 'none', why: 'bubblewrap is not installed', missing: true };
  for (let tried = 0; tried < TRIES; tried += 1) {
    const trial = spawnSync(program, [...TRIAL, 'true'], {
      stdio: 'ignore',
      env: { PATH: path },
      timeout: limitMs,
      killSignal: 'SIGKILL',
    });
    if (trial.status === 0) return { kind: 'bubblewrap', program };
    // Killed by the limit or by somebody, or not started for want of memory: that says nothing of namespaces.
    if (trial.status === null) {
      return { kind: 'unknown', why: 'bubblewrap is installed, but did not answer when it was tried' };
    }
  }
  return { kind: 'none', why: 'bubblewrap is installed, but this machine forbids namespaces', missing: true };
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Paths as the kernel knows them: links resolved. */
export type SandboxPlan = {
  program: string;
  /** Folders of which a stage sees nothing but what is bound below. */
  hidden: readonly string[];
  /** Files and folders it reads. */
  readable: readonly string[];
  nodeLibrary: { from: string; to: string };
  /** Files and folders it reads under another name: content to its place below the inputs folder. */
  inputs: readonly { from: string; to: string }[];
  inputsDir: string;
  /** Folders it writes. */
  writable: readonly string[];
  asRoot: boolean;
};

/**
 * The command in front of `--`. The machine is read-only, temporary folders are empty, the project and its private
 * state are hidden; sockets of daemons under /run are out of reach; other processes are not visible. The network is
 * the machine's own.
 */
export function sandboxCommand(plan: SandboxPlan): string[] {
  const hidden = ['/tmp', '/var/tmp', '/run', ...plan.hidden];
  // What is visible anyway through the read-only machine needs no bind of its own.
  const readable = plan.readable.filter((path) => hidden.some((folder) => isBelow(path, folder)));
  return [
    plan.program,
    '--die-with-parent',
    // runtime/sandbox_init.py is process 1: it reports how the program ended, and everything ends with it.
    '--unshare-pid',
    '--as-pid-1',
    '--unshare-ipc',
    '--cap-drop',
    'ALL',
    // So that tar and cp work for root inside as they do outside.
    ...(plan.asRoot ? ['--cap-add', 'CAP_CHOWN', '--cap-add', 'CAP_FOWNER'] : []),
    ...['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
    ...hidden.flatMap((folder) => ['--tmpfs', folder]),
    // Name resolution of systemd machines: /etc/resolv.conf is a link to it.
    ...['--ro-bind-try', '/run/systemd/resolve', '/run/systemd/resolve'],
    ...readable.flatMap((path) => ['--ro-bind', path, path]),
    ...['--ro-bind', plan.nodeLibrary.from, plan.nodeLibrary.to],
    ...plan.writable.flatMap((path) => ['--bind', path, path]),
    ...['--tmpfs', plan.inputsDir],
    ...plan.inputs.flatMap(({ from, to }) => ['--ro-bind', from, to]),
    ...['--remount-ro', plan.inputsDir],
    ...plan.hidden.flatMap((folder) => ['--remount-ro', folder]),
    '--chdir',
    '/',
  ];
}

export function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** In the words of the documents; honest about what is not separated. */
export function describeSandbox(sandbox: Sandbox): string {
  return sandbox.kind === 'bubblewrap'
    ? 'stages run as processes of this machine in a bubblewrap sandbox: they write to their own folders only, see no other run and no other process; the network is open'
    : `stages run as plain processes of this machine with your rights, without a sandbox (${sandbox.why})`;
}
