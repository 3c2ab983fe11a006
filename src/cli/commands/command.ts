import { type Command, InvalidArgumentError } from 'commander';
import type { Action } from '../cli.ts';

/**
 * How a command is added: its arguments and options are declared here, `perform` runs the action with the tools in
 * its hands. An action builds a tool's arguments, calls it and shows the answer; it decides nothing.
 */
export type AddCommand = (program: Command, perform: (action: Action) => Promise<void>) => void;

/** For options that take a number. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It is no number.');
  return value;
}

/** For options that may be given several times. */
export function collect(text: string, earlier: readonly string[] = []): string[] {
  return [...earlier, text];
}

/** The entries that were given. */
export function given<T extends Record<string, unknown>>(args: T): Record<string, unknown> {
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined));
}
