import { spawn } from 'node:child_process';

/** How much of a failed program's output is shown. */
const SHOWN = 2_000;

/** Runs a program to its end and answers its stdout. Throws with the end of its output where it fails. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { cwd?: string; environment?: Record<string, string> } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      all += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      all += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) return resolve(output);
      const command = [program, ...args].join(' ').slice(0, 200);
      reject(new Error(`${command} ended with ${code ?? 'a signal'}:\n${all.slice(-SHOWN)}`));
    });
  });
}

/** Whether a program can be started and ends well; its output is thrown away. */
export function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  return runProgram(program, args).then(
    () => true,
    () => false,
  );
}
