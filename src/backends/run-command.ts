import { spawn } from 'node:child_process';

export type CommandResult = {
  /** Null where a signal ended it. */
  code: number | null;
  /** Both streams together, the last 256 KiB. */
  output: string;
};

const KEPT_OUTPUT = 256 * 1024;

/**
 * Runs a program of ours (an interpreter, pip) to its end in a process group of its own; an abort kills the group.
 * Lines of both streams go to `onLine`. Rejects where it cannot be started, or was aborted.
 */
export function runCommand(request: {
  command: readonly [string, ...string[]];
  cwd: string;
  environment: Record<string, string>;
  onLine?: (text: string) => void;
  signal?: AbortSignal | undefined;
}): Promise<CommandResult> {
  const [program, ...args] = request.command;
  return new Promise((resolve, reject) => {
    request.signal?.throwIfAborted();
    const child = spawn(program, args, {
      cwd: request.cwd,
      env: request.environment,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = (): void => killGroup(child.pid);
    request.signal?.addEventListener('abort', kill, { once: true });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      const lines = lineSplitter((line) => {
        output = `${output}${line}\n`.slice(-KEPT_OUTPUT);
        request.onLine?.(line);
      });
      stream.setEncoding('utf8');
      stream.on('data', lines.feed);
      stream.on('end', lines.end);
    }
    child.once('error', reject);
    child.once('close', (code) => {
      request.signal?.removeEventListener('abort', kill);
      if (request.signal?.aborted) reject(request.signal.reason);
      else resolve({ code, output });
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

function lineSplitter(onLine: (line: string) => void): { feed: (text: string) => void; end: () => void } {
  let rest = '';
  return {
    feed: (text) => {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    },
    end: () => {
      if (rest !== '') onLine(rest);
      rest = '';
    },
  };
}
