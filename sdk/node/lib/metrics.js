'use strict';

/** Metrics and progress: one JSON line each, appended to the run's control folder. */

const { openSync, writeSync } = require('node:fs');
const { join } = require('node:path');
const { checkedOptions, GoldfishError, shown, systemProblem } = require('./errors.js');
const { numberText } = require('./json.js');
const { touchNowAndThen } = require('./liveness.js');
const { environment } = require('./run.js');

/** What the reader takes; both count in UTF-16. */
const MAX_NAME = 128;
const MAX_MESSAGE = 200;
/** Printable: letters, marks, numbers, punctuation, symbols and the plain space. */
const PRINTABLE = /^(?: |[^\p{C}\p{Z}])+$/u;

/** @typedef {number | { step?: number | undefined } | null | undefined} Step */

/** @type {{ path: string, descriptor: number } | undefined} */
let opened;

/**
 * Logs one number under a name ("loss", "train/accuracy"), at a step if given.
 * @param {string} name
 * @param {number | bigint | boolean} value
 * @param {Step} [step]
 */
function logMetric(name, value, step) {
  logMetrics(Object.fromEntries([[named(name), value]]), step);
}

/**
 * Logs several numbers of one step together: all of them, or none where one is wrong.
 * @param {Record<string, number | bigint | boolean>} values
 * @param {Step} [step]
 */
function logMetrics(values, step) {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new GoldfishError(`logMetrics takes an object of numbers by name, not ${shown(values)}.`);
  }
  const place = stepText(step);
  const end = `${place === undefined ? '' : `, "step": ${place}`}, "time": "${new Date().toISOString()}"}\n`;
  const lines = Object.entries(values).map(([name, value]) => {
    const number = asNumber(value, `Metric ${name}`);
    const said = Number.isFinite(number) ? numberText(number) : `"${number}"`;
    return `{"name": ${JSON.stringify(named(name))}, "value": ${said}${end}`;
  });
  append(lines.join(''));
}

/**
 * Says how far the stage is, from 0 to 1 (values beyond are cut), and what it is doing, in a few words.
 * @param {number} fraction
 */
function progress(fraction, message = '') {
  const done = Math.min(1, Math.max(0, finite(fraction, 'The fraction')));
  const line = { progress: done, message: String(message).slice(0, MAX_MESSAGE), time: new Date() };
  append(`${JSON.stringify(line)}\n`);
}

/**
 * The step as it stands in the file; it may be given as a number or as an option.
 * @param {Step} step
 * @returns {string | undefined}
 */
function stepText(step) {
  const given =
    typeof step === 'object' && step !== null ? checkedOptions(step, ['step'], 'A metric').step : step;
  return given === undefined || given === null ? undefined : numberText(finite(given, 'The step'));
}

/**
 * One write per call: appends of one write are not torn apart by other threads and processes.
 * @param {string} lines
 */
function append(lines) {
  let data = Buffer.from(lines, 'utf8');
  try {
    const descriptor = opening(join(environment('GOLDFISH_CONTROL'), 'metrics.jsonl'));
    while (data.length > 0) {
      // A short write happens only where the disk is full; the rest then fails and says so.
      data = data.subarray(writeSync(descriptor, data));
    }
  } catch (error) {
    if (error instanceof GoldfishError) throw error;
    throw new GoldfishError(`The metric cannot be written: ${systemProblem(error)}.`);
  }
  touchNowAndThen();
}

/**
 * Kept open for good.
 * @param {string} path
 */
function opening(path) {
  if (opened?.path !== path) opened = { path, descriptor: openSync(path, 'a', 0o644) };
  return opened.descriptor;
}

/** @param {unknown} name */
function named(name) {
  const fits = typeof name === 'string' && name.length <= MAX_NAME && PRINTABLE.test(name);
  if (fits && name.trim() !== '') return name;
  throw new GoldfishError(`A metric's name is 1 to ${MAX_NAME} printable characters, not ${shown(name)}.`);
}

/**
 * @param {unknown} value
 * @param {string} what
 */
function finite(value, what) {
  const number = asNumber(value, what);
  if (!Number.isFinite(number)) throw new GoldfishError(`${what} must be a finite number, not ${number}.`);
  return number;
}

/**
 * @param {unknown} value
 * @param {string} what
 */
function asNumber(value, what) {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw new GoldfishError(`${what} must be a number, not ${shown(value)}.`);
}

module.exports = { finite, logMetric, logMetrics, progress };
