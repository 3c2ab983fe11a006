import { execFileSync } from 'node:child_process';
import { delimiter, dirname } from 'node:path';

/**
 * PATH with the folder of the real `python3` in front. Behind a version manager's shim each start costs half a second,
 * and the tests start hundreds. Unchanged where there is no python3: what needs it then says so itself.
 */
export function pathWithPython(path = process.env['PATH'] ?? ''): string {
  try {
    const program = execFileSync('python3', ['-I', '-c', 'import sys; print(sys.executable)'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return program === '' ? path : `${dirname(program)}${delimiter}${path}`;
  } catch {
    return path;
  }
}
