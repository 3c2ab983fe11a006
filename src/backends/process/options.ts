import type { HostOptions } from '../host-options.ts';

/** What the process backend is made of. `python` is also the interpreter behind a first word `python`. */
export type ProcessBackendOptions = HostOptions & {
  /** `process.sandbox`. */
  sandbox: 'auto' | 'bubblewrap' | 'none';
  /** Outside the project and its state: what a sandbox hides too (the object store). */
  hiddenFolders?: readonly string[];
};
