import { dirname } from 'node:path';
import type { RunSpec } from '../port.ts';

/**
 * What a stage gets besides: nothing of the machine's environment but PATH. Its home is its own scratch folder, so
 * that no run finds what another (or the user) left in a cache.
 */
export function stageEnvironment(
  spec: RunSpec,
  machine: {
    temp: string;
    python: string;
    environment: string | null;
    sdkDir: string;
    path: string;
  },
): Record<string, string> {
  const own = spec.environment['PYTHONPATH'];
  return {
    PATH: `${dirname(machine.python)}:${machine.path}`,
    HOME: machine.temp,
    TMPDIR: machine.temp,
    LANG: 'C.UTF-8',
    // The code folder is shared and read-only; output appears in the log as it is printed.
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONUNBUFFERED: '1',
    PYTHONNOUSERSITE: '1',
    ...(machine.environment === null ? {} : { VIRTUAL_ENV: machine.environment }),
    ...spec.environment,
    PYTHONPATH: [spec.codeDir, machine.sdkDir, ...(own ? [own] : [])].join(':'),
  };
}
