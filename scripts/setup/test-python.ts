import { spawnSync } from 'node:child_process';

const LOOKS_FOR =
  'import importlib.util as u, sys; sys.exit(not (u.find_spec("numpy") and u.find_spec("pandas")))';

/** The machine's Python with numpy and pandas: the user's first, then Debian's, which the setup gives them. */
export function pythonWithLibraries(): string | undefined {
  return ['python3', '/usr/bin/python3'].find((python) => {
    return spawnSync(python, ['-c', LOOKS_FOR], { stdio: 'ignore' }).status === 0;
  });
}
