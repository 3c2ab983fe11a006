'use strict';

/** The one error type of the library, and the words for naming what was probably meant. */

const { inspect } = require('node:util');

/** Something a stage's author can fix. The message is one line: what, why, what to do. */
class GoldfishError extends Error {}
// On the prototype, so that an uncaught one is not printed with a list of its properties.
Object.defineProperty(GoldfishError.prototype, 'name', { value: 'GoldfishError', configurable: true });

/**
 * The end of an "unknown name" message: the nearest name first, then all of them.
 * @param {string} name
 * @param {readonly string[]} known
 */
function knownNames(name, known) {
  if (known.length === 0) return 'there are none';
  const names = [...known].sort();
  const nearest = nearestOf(name, names);
  return `${nearest === undefined ? '' : `did you mean "${nearest}"? `}Known: ${names.join(', ')}`;
}

/**
 * A value as it may stand in a one-line message.
 * @param {unknown} value
 */
function shown(value, limit = 80) {
  const whole =
    typeof value === 'string'
      ? JSON.stringify(value)
      : inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 20 });
  const text = whole.replace(/\s+/g, ' ');
  return text.length <= limit ? text : `${text.slice(0, limit)}…`;
}

/**
 * What the system said, without its code and the name of the call: "no space left on device".
 * @param {unknown} error
 */
function systemProblem(error) {
  if (!(error instanceof Error)) return String(error);
  return error.message.replace(/^[A-Z_0-9]+: /, '').replace(/, [a-z]+( '.*)?$/s, '');
}

/**
 * Whether an error came from the operating system, through Node.
 * @param {unknown} error
 */
function isSystemError(error) {
  return error instanceof Error && 'syscall' in error;
}

/**
 * The options of a call, refused where one is unknown: a misspelt option would otherwise do nothing.
 * @template {object} Options
 * @param {Options | undefined} given
 * @param {readonly (keyof Options & string)[]} allowed
 * @param {string} call
 * @returns {Partial<Options>}
 */
function checkedOptions(given, allowed, call) {
  if (given === undefined) return {};
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    const example = allowed[0] ?? '';
    throw new GoldfishError(
      `${call} takes options as an object, such as { ${example}: … }, not ${shown(given)}.`,
    );
  }
  const unknown = Object.keys(given).find((key) => !allowed.some((name) => name === key));
  if (unknown !== undefined) {
    throw new GoldfishError(`${call} has no option ${shown(unknown)}: ${knownNames(unknown, allowed)}`);
  }
  return given;
}

/**
 * @param {string} name
 * @param {readonly string[]} names
 */
function nearestOf(name, names) {
  let nearest;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of names) {
    const away = distance(name.toLowerCase(), candidate.toLowerCase());
    if (away < least && away <= Math.max(name.length, candidate.length) / 2) {
      nearest = candidate;
      least = away;
    }
  }
  return nearest;
}

/**
 * Levenshtein's.
 * @param {string} a
 * @param {string} b
 */
function distance(a, b) {
  let above = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let at = 1; at <= b.length; at += 1) {
      const replaced = (above[at - 1] ?? 0) + (a[row - 1] === b[at - 1] ? 0 : 1);
      current.push(Math.min((above[at] ?? 0) + 1, (current[at - 1] ?? 0) + 1, replaced));
    }
    above = current;
  }
  return above[b.length] ?? 0;
}

module.exports = { GoldfishError, checkedOptions, isSystemError, knownNames, shown, systemProblem };
