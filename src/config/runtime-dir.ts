import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/** A folder of this user's own for sockets: XDG_RUNTIME_DIR where the system gives one. */
export function runtimeDir(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const given = environment['XDG_RUNTIME_DIR'];
  return given ? join(given, 'goldfish') : join(tmpdir(), `goldfish-${userInfo().uid}`);
}
