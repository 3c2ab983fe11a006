import type { Clock } from '../core/clock.ts';
import type { Layout } from '../core/layout.ts';

/** What every backend with a run wrapper on this machine is made of. */
export type HostOptions = {
  layout: Layout;
  clock: Clock;
  /** `process.python`: name or path of the interpreter that runs the wrapper. */
  python: string;
  /** The folder to import the Python stage library from. */
  sdkDir: string;
  /** The environment of this process: PATH for finding programs, proxies and pip's settings for building. */
  hostEnvironment: Readonly<Record<string, string | undefined>>;
};

export const FALLBACK_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function searchPath(options: Pick<HostOptions, 'hostEnvironment'>): string {
  const path = options.hostEnvironment['PATH'];
  return path === undefined || path === '' ? FALLBACK_PATH : path;
}
