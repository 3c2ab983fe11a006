import { fileURLToPath } from 'node:url';

/**
 * Both `src/core/assets.ts` and the compiled `dist/core/assets.js` stand two folders below the package's root,
 * so everything that ships beside the code is found the same way from a checkout and from an installed package.
 */
const PACKAGE_ROOT = new URL('../../', import.meta.url);
const CODE_ROOT = new URL('../', import.meta.url);
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** Absolute path of a file or folder of the package: `runtime/run_wrapper.py`, `sdk/python`, `templates/minimal`. */
export function assetPath(relative: string): string {
  return fileURLToPath(new URL(relative, PACKAGE_ROOT));
}

/**
 * Absolute path of a program of ours to be started as a process of its own, as `process.execPath` can run it:
 * `supervisor/main` is `src/supervisor/main.ts` in a checkout and `dist/supervisor/main.js` in a package.
 */
export function programPath(program: string): string {
  return fileURLToPath(new URL(`${program}${EXTENSION}`, CODE_ROOT));
}
