import { clip } from '../../core/names.ts';

const LONGEST_NAME = 60;

/** A program chose the name: on one line, and not for ever. */
export function named(metric: string): string {
  return `"${clip(metric, LONGEST_NAME)}"`;
}

/** As people read it: six digits are enough to see what went wrong. */
export function shownValue(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(6))) : String(value);
}

export function atStep(step: number | null): string {
  return step === null ? '' : ` at step ${step}`;
}
