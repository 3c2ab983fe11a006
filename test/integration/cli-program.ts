import { type ChildProcess, spawn } from 'node:child_process';
import { assetPath } from '../../src/core/assets.ts';

export type Ended = { code: number | null; signal: NodeJS.Signals | null; out: string; err: string };

export type Started = {
  child: ChildProcess;
  /** What came so far. */
  out(): string;
  err(): string;
  ended: Promise<Ended>;
};

type Options = {
  cwd: string;
  /** What stands on stdin; absent: an open pipe on which nothing ever comes. */
  stdin?: string;
  env?: Record<string, string>;
};

const GOLDFISH = assetPath('bin/goldfish.js');

/** Starts the real program, as a script would: stdin is a pipe that stays open unless something is given. */
export function startGoldfish(argv: readonly string[], options: Options): Started {
  return start([process.execPath, GOLDFISH, ...argv], options);
}

export function goldfish(argv: readonly string[], options: Options): Promise<Ended> {
  return startGoldfish(argv, options).ended;
}

/** The same on a terminal of 80 columns; stdout and stderr come as one. */
export function goldfishOnTerminal(argv: readonly string[], options: Options): Promise<Ended> {
  const terminal = [
    'import fcntl, os, pty, struct, sys, termios',
    'pid, master = pty.fork()',
    'if pid == 0:',
    '    os.execvp(sys.argv[1], sys.argv[1:])',
    "fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))",
    'try:',
    '    while data := os.read(master, 65536):',
    '        sys.stdout.buffer.write(data)',
    'except OSError:',
    '    pass',
    'sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))',
  ].join('\n');
  const words = ['python3', '-c', terminal, process.execPath, GOLDFISH, ...argv];
  return start(words, { ...options, env: { TERM: 'xterm', ...options.env } }).ended;
}

/** Bash with `goldfish` in it, for pipes. */
export function shell(script: string, options: Options): Promise<Ended> {
  const define = `goldfish() { "${process.execPath}" "${GOLDFISH}" "$@"; }`;
  return start(['bash', '-c', `${define}\n${script}`], options).ended;
}

const running = new Set<ChildProcess>();

/** Ends what a failed test left watching. */
export function endPrograms(): void {
  for (const child of running) child.kill('SIGKILL');
}

export function start(words: readonly string[], options: Options): Started {
  const { NO_COLOR: _, FORCE_COLOR: __, GOLDFISH_PROJECT: ___, ...environment } = process.env;
  const [command = '', ...argv] = words;
  const child = spawn(command, argv, {
    cwd: options.cwd,
    env: { ...environment, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const written = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.err += text;
  });
  if (options.stdin !== undefined) child.stdin.end(options.stdin);
  child.stdin.on('error', () => undefined);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...written }));
  });
  return { child, out: () => written.out, err: () => written.err, ended };
}
