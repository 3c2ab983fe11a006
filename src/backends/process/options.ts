import type { Clock } from '../../core/clock.ts';
import type { Layout } from '../../core/layout.ts';

/** What the process backend is made of. */
export type ProcessBackendOptions = {
  layout: Layout;
  clock: Clock;
  /** `process.sandbox`. */
  sandbox: 'auto' | 'bubblewrap' | 'none';
  /** `process.python`: name or path of the interpreter behind a first word `python`. */
  python: string;
  /** The folder to import the Python stage library from. */
  sdkDir: string;
  /** The environment of this process: PATH for finding programs, proxies and pip's settings for building. */
  hostEnvironment: Readonly<Record<string, string | undefined>>;
};

const FALLBACK_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function searchPath(options: Pick<ProcessBackendOptions, 'hostEnvironment'>): string {
  const path = options.hostEnvironment['PATH'];
  return path === undefined || path === '' ? FALLBACK_PATH : path;
}
