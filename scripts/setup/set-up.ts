import { existsSync } from 'node:fs';
import { systemClock } from '../../src/core/clock.ts';
import { installPackages } from './debian-packages.ts';
import { engineAnswers, startEngine } from './engine.ts';
import { findOldNode } from './old-node.ts';
import { succeeds } from './run-program.ts';
import { makeTestImage, TEST_IMAGE } from './test-image.ts';
import { pythonWithLibraries } from './test-python.ts';

/** What a machine may lack for the tests, in the order in which it is put there. Each step may be repeated. */
const STEPS: { what: string; work: () => Promise<void> }[] = [
  { what: 'packages of Debian', work: installMissing },
  { what: 'container engine', work: startEngine },
  { what: `image ${TEST_IMAGE}`, work: makeTestImage },
];

/** Makes everything ready that tests would otherwise skip for. Throws with a sentence where it cannot. */
export async function setUp(say: (line: string) => void): Promise<void> {
  for (const { what, work } of STEPS) {
    const started = systemClock.monotonic();
    await work();
    say(`setup: ${what} (${((systemClock.monotonic() - started) / 1000).toFixed(1)} s)`);
  }
}

async function installMissing(): Promise<void> {
  const wanted: string[] = [];
  if (!(await succeeds('bwrap', ['--version']))) wanted.push('bubblewrap');
  if (!(await engineAnswers()) && !existsSync('/usr/sbin/dockerd')) wanted.push('docker.io');
  if (!(await succeeds('docker-registry', ['--version']))) wanted.push('docker-registry');
  if (!findOldNode()) wanted.push('nodejs');
  if (pythonWithLibraries() === undefined) wanted.push('python3-pandas');
  if (!(await succeeds('python3', ['-m', 'pip', '--version']))) wanted.push('python3-pip', 'python3-venv');
  if (wanted.length > 0) await installPackages(wanted);
}
