import type { Environment } from '../../config/host.ts';
import { colourOf, isCause } from '../../core/causes.ts';

/** Select Graphic Rendition codes: on, off. */
const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export type StyleName = keyof typeof CODES;
/** Colours a text, or hands it back as it is where colour is not wanted. */
export type Style = (name: StyleName | undefined, text: string) => string;

export const plainStyle: Style = (_name, text) => text;

export const colourStyle: Style = (name, text) => {
  if (name === undefined || text === '') return text;
  const [on, off] = CODES[name];
  return `\u001b[${on}m${text}\u001b[${off}m`;
};

/** Whether to colour: the option first, then NO_COLOR, FORCE_COLOR, and whether somebody looks at it. */
export function wantsColour(request: {
  /** False for `--no-color`. */
  option: boolean;
  environment: Environment;
  isTerminal: boolean;
}): boolean {
  const { option, environment, isTerminal } = request;
  if (!option || environment['NO_COLOR']) return false;
  const forced = environment['FORCE_COLOR'];
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false';
  return isTerminal && environment['TERM'] !== 'dumb';
}

const STATE_STYLES: Record<string, StyleName> = {
  completed: 'green',
  failed: 'red',
  terminated: 'red',
  canceled: 'yellow',
  running: 'cyan',
  finishing: 'cyan',
};

/**
 * The colour of a run's state as `stateAt` writes it: `failed`, `terminated (timeout)`, `completed, attempt 2`. A cause
 * says more than its state; what waits is dim.
 */
export function stateStyle(text: string): StyleName {
  const [, state = '', named, attempt = '1'] = /^(\w+)(?: \((\w+)\))?(?:, attempt (\d+))?/.exec(text) ?? [];
  const cause = state === 'completed' && named === undefined ? 'success' : named;
  if (cause !== undefined && isCause(cause)) return colourOf(cause, Number(attempt) - 1);
  return STATE_STYLES[state] ?? 'dim';
}
