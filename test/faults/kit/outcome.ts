import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';
import { CONSTANT_SEED } from '../../../scripts/fault-seed.ts';
import type { Outcome } from './promises.ts';

/**
 * States that a promise was held in every trial, for docs/reliability.md (npm run test:faults -- --long) and for the
 * test: fewer held than tried is a failure, and so is a fault that was never tried.
 */
export function keptPromise(outcome: Outcome): void {
  const file = process.env['GOLDFISH_FAULT_REPORT'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(outcome)}\n`);
  expect(outcome.trials, `${outcome.fault}: nothing was tried`).toBeGreaterThan(0);
  expect(outcome.held, `${outcome.fault}: ${outcome.promise}`).toBe(outcome.trials);
}

/** The long form: what docs/reliability.md is generated from. The short one runs with every change. */
export const LONG = process.env['GOLDFISH_FAULTS_LONG'] === '1';

/** The driver's, which prints it; without the driver a constant. The same seed makes the same faults at the same moments of its own clock. */
export const SEED = Number(process.env['GOLDFISH_FAULTS_SEED'] ?? CONSTANT_SEED);
