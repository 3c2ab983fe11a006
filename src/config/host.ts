import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. Read here and nowhere else. */
export function hostEnvironment(): Environment {
  return process.env;
}

/** A folder of this user's own for sockets: XDG_RUNTIME_DIR where the system gives one. */
export function runtimeDir(environment: Environment = hostEnvironment()): string {
  const given = environment['XDG_RUNTIME_DIR'];
  return given ? join(given, 'goldfish') : join(tmpdir(), `goldfish-${userInfo().uid}`);
}
