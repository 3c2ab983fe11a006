import { existsSync } from 'node:fs';
import { runProgram } from './run-program.ts';

let updated: Promise<unknown> | undefined;

/** The lists of packages as they are today; once per setup, because old lists name files that are gone. */
export function updateLists(): Promise<unknown> {
  updated ??= runProgram('apt-get', ['update', '-qq']);
  return updated;
}

/** Installs packages without what they only recommend. Needs root and apt. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  const wanted = packages.join(' ');
  if (!existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) {
    throw new Error(`The packages ${wanted} are missing. Install them, or run this as root on Debian.`);
  }
  await updateLists();
  await runProgram('apt-get', ['install', '-qy', '--no-install-recommends', ...packages], {
    environment: { DEBIAN_FRONTEND: 'noninteractive' },
  });
}
