import { readFileSync } from 'node:fs';

/** The environment a process of this user was started with; undefined where there is no /proc or no such process. */
export function processEnvironment(pid: number): Readonly<Record<string, string>> | undefined {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return Object.fromEntries(
      entries.flatMap((entry) => {
        const at = entry.indexOf('=');
        return at < 1 ? [] : [[entry.slice(0, at), entry.slice(at + 1)]];
      }),
    );
  } catch {
    return undefined;
  }
}
