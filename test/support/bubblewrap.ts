import { findSandbox } from '../../src/backends/process/sandbox.ts';

/** Whether stages can be put into a bubblewrap sandbox on this machine. */
export const HAS_BUBBLEWRAP =
  findSandbox({ sandbox: 'auto', hostEnvironment: process.env }).kind === 'bubblewrap';

/** For the title of a test that is skipped without. */
export const NEEDS_BUBBLEWRAP = HAS_BUBBLEWRAP ? '' : ' (needs bubblewrap: GOLDFISH_SETUP=1 npm test)';
