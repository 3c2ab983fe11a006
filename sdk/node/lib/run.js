'use strict';

/** What Goldfish tells a stage: its config, its signals and their paths, which run it is. */

const { mkdirSync, readFileSync } = require('node:fs');
const { resolve } = require('node:path');
const { GoldfishError, knownNames, shown, systemProblem } = require('./errors.js');

/** Keys of configs/<stage>.yaml that speak to Goldfish, not to the stage. */
const RESERVED_KEYS = ['compute', 'environment', 'metrics'];

/**
 * A folder or a file without a type of its own carries the bare name.
 * @type {Record<string, string>}
 */
const EXTENSIONS = { npy: '.npy', npz: '.npz', csv: '.csv', parquet: '.parquet', json: '.json' };

/** @typedef {Record<string, unknown>} Values */

/** @type {{ path: string, document: Values } | undefined} */
let read;

/**
 * The value of a GOLDFISH_ variable. Throws outside of a run.
 * @param {string} name
 */
function environment(name) {
  const value = process.env[name];
  if (value) return value;
  throw new GoldfishError(
    `${name} is not set, so this program is not running as a Goldfish stage: ` +
      'start it with the run tool or `goldfish run WORKSPACE`.',
  );
}

/** True where the variables of a run are there. */
function inRun() {
  return Boolean(process.env['GOLDFISH_CONFIG'] && process.env['GOLDFISH_CONTROL']);
}

/**
 * The stage's parameters: configs/<stage>.yaml with its overrides, without reserved keys.
 * A fresh plain object at each call; changing it changes nothing else.
 * @returns {any}
 */
function config() {
  const entries = Object.entries(part('config')).filter(([key]) => !RESERVED_KEYS.includes(key));
  return structuredClone(Object.fromEntries(entries));
}

/** Which run this is. Attempts count from 1, ranks from 0. */
function runInfo() {
  const said = part('run');
  /** @param {string} key */
  const text = (key) => String(said[key] || process.env[`GOLDFISH_${key.toUpperCase()}`] || '');
  return {
    runId: text('run_id'),
    workspace: text('workspace'),
    version: text('version'),
    stage: text('stage'),
    attempt: Number(text('attempt') || 1),
    rank: Number(text('rank') || 0),
    worldSize: Number(text('world_size') || 1),
  };
}

/**
 * Type and path of a declared input. Throws for any other name.
 * @param {string} name
 */
function inputSignal(name) {
  return signal({ section: 'inputs', noun: 'input', variable: 'GOLDFISH_INPUTS' }, name);
}

/**
 * Type and path of a declared output. Throws for any other name.
 * @param {string} name
 */
function outputSignal(name) {
  return signal({ section: 'outputs', noun: 'output', variable: 'GOLDFISH_OUTPUTS' }, name);
}

/**
 * The path of an input: one file, or a folder for `directory` (and for a `dataset` of several files).
 * @param {string} name
 */
function inputPath(name) {
  return inputSignal(name).path;
}

/**
 * The path where an output must be when the stage ends: one file, or for `directory` a folder, made here.
 * @param {string} name
 */
function outputPath(name) {
  const { type, path } = outputSignal(name);
  if (type !== 'directory') return path;
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new GoldfishError(`Output ${name} cannot be made: ${systemProblem(error)}.`);
  }
  return path;
}

/**
 * @param {{ section: string, noun: string, variable: string }} side
 * @param {unknown} name
 */
function signal({ section, noun, variable }, name) {
  const declared = part(section);
  const entry = typeof name === 'string' && Object.hasOwn(declared, name) ? declared[name] : undefined;
  if (typeof name !== 'string' || !isValues(entry)) {
    const known = knownNames(String(name), Object.keys(declared));
    throw new GoldfishError(`This stage has no ${noun} ${shown(name)}: ${known}`);
  }
  const type = String(entry['type'] || 'file');
  const said = entry['path'];
  const path = typeof said === 'string' && said !== '' ? said : name + (EXTENSIONS[type] ?? '');
  // A relative path is below the folder; an absolute one stands for itself.
  return { type, path: resolve(environment(variable), path) };
}

/**
 * @param {string} section
 * @returns {Values}
 */
function part(section) {
  const value = document()[section];
  return isValues(value) ? value : {};
}

/** The run document behind GOLDFISH_CONFIG; it never changes while a run lasts, so it is read once. */
function document() {
  const path = environment('GOLDFISH_CONFIG');
  if (read?.path === path) return read.document;
  let value;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new GoldfishError(`The run document behind GOLDFISH_CONFIG cannot be read: ${why}`);
  }
  if (!isValues(value)) {
    throw new GoldfishError('The run document behind GOLDFISH_CONFIG is not a JSON object.');
  }
  read = { path, document: value };
  return value;
}

/**
 * @param {unknown} value
 * @returns {value is Values}
 */
function isValues(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

module.exports = {
  config,
  environment,
  inRun,
  inputPath,
  inputSignal,
  outputPath,
  outputSignal,
  runInfo,
};
