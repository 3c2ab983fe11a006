'use strict';

/** Loading inputs and saving outputs, by the type the pipeline declares. */

const fs = require('node:fs');
const { basename, join } = require('node:path');
const { fileURLToPath } = require('node:url');
const { asExistingPath, copy, place, replace } = require('./copying.js');
const { isTable, readCsv, readCsvRows, writeCsv } = require('./csv.js');
const { checkedOptions, GoldfishError, isSystemError, shown, systemProblem } = require('./errors.js');
const { readBytes, readText, writeBytes, writeText } = require('./files.js');
const { checkBytes, checkFile } = require('./formats.js');
const { jsonText, readJson } = require('./json.js');
const { readNpy, writeNpy } = require('./npy.js');
const { readNpz, writeNpz } = require('./npz.js');
const { environment, inputSignal, outputSignal } = require('./run.js');

/**
 * @param {string} name
 * @param {import('../index.d.ts').LoadOptions} [options]
 * @returns {any}
 */
function loadInput(name, options) {
  const { type, path } = inputSignal(name);
  const { plain = false, rows = false } = checkedOptions(options, ['plain', 'rows'], 'loadInput');
  const what = `Input ${name}`;
  if (!fs.existsSync(path)) throw new GoldfishError(`${what} is declared but not there.`);
  try {
    return load(type, path, { what, plain, rows });
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new GoldfishError(`${what} cannot be read: ${systemProblem(error)}.`);
  }
}

/**
 * @param {string} type
 * @param {string} path
 * @param {{ what: string, plain: boolean, rows: boolean }} how
 */
function load(type, path, { what, plain, rows }) {
  if (type === 'npy') {
    const array = readNpy(readBytes(path), what);
    return plain ? array.toNested() : array;
  }
  if (type === 'npz') {
    const arrays = readNpz(path, what);
    if (!plain) return arrays;
    return Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, array.toNested()]));
  }
  if (type === 'csv') return (rows ? readCsvRows : readCsv)(readText(path, what), what);
  return type === 'json' ? readJson(readText(path, what), what) : path;
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {import('../index.d.ts').SaveOptions} [options]
 */
function saveOutput(name, value, options) {
  const { type, path: target } = outputSignal(name);
  const { move = false } = checkedOptions(options, ['move'], 'saveOutput');
  const what = `Output ${name} (${type})`;
  const wantsFolder = type === 'directory';
  try {
    const source = sourceOf(value, { what, wantsFolder });
    if (source !== undefined) {
      if (fs.statSync(source).isDirectory() !== wantsFolder) {
        const wanted = wantsFolder ? 'folder' : 'file';
        throw new GoldfishError(`${what} needs a ${wanted}, and ${shown(source)} is none.`);
      }
      checkFile(source, type, what);
      place(source, target, { what, move });
    } else if (wantsFolder) {
      throw new GoldfishError(
        `${what} takes the path of a folder; or write into outputPath(${shown(name)}).`,
      );
    } else replace(target, (temporary) => write(temporary, { type, value, what }));
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new GoldfishError(`${what} cannot be saved: ${systemProblem(error)}.`);
  }
  return target;
}

/**
 * @param {string | URL} path
 * @param {string} [name]
 */
function logArtifact(path, name) {
  const source = path instanceof URL ? fileURLToPath(path) : path;
  const label = name ?? basename(String(source));
  if (typeof label !== 'string' || ['', '.', '..'].includes(label) || /[/\0]/.test(label)) {
    throw new GoldfishError(`An artifact's name is a plain file name, not ${shown(label)}.`);
  }
  const what = `Artifact ${label}`;
  if (typeof source !== 'string' || !fs.existsSync(source)) {
    throw new GoldfishError(`${what}: there is no file or folder ${shown(source)}.`);
  }
  const target = join(environment('GOLDFISH_OUTPUTS'), 'artifacts', label);
  try {
    replace(target, (temporary) => copy(source, temporary, what));
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new GoldfishError(`${what} cannot be kept: ${systemProblem(error)}.`);
  }
  return target;
}

/**
 * @param {unknown} value
 * @param {{ what: string, wantsFolder: boolean }} of
 */
function sourceOf(value, { what, wantsFolder }) {
  const source = asExistingPath(value, what);
  if (source === undefined || typeof value !== 'string' || wantsFolder) return source;
  // A word that happens to be a folder's name.
  return fs.statSync(source).isDirectory() ? undefined : source;
}

/**
 * @param {string} path
 * @param {{ type: string, value: unknown, what: string }} content
 */
function write(path, { type, value, what }) {
  if (value instanceof Promise) throw new GoldfishError(`${what}: the value is a Promise; await it first.`);
  const bytes = asBytes(value, type);
  if (bytes) {
    checkBytes(bytes, type, { what });
    writeBytes(path, [bytes]);
  } else if (type === 'json') writeText(path, jsonText(value, { what, strict: false }), what);
  else if (typeof value === 'string') {
    if (type !== 'csv' && type !== 'file')
      throw new GoldfishError(`${what}: there is no file ${shown(value)}.`);
    checkBytes(Buffer.from(value.slice(0, 1)), type, { what });
    writeText(path, value, what);
  } else if (type === 'csv' && isTable(value)) writeText(path, writeCsv(value, what), what);
  else if (type === 'npy') writeBytes(path, writeNpy(value, what));
  else if (type === 'npz') writeBytes(path, writeNpz(value, what));
  else throw new GoldfishError(`${what} cannot hold ${shown(value, 40)}; ${adviceFor(type)}.`);
}

/**
 * The bytes of a file where the value is that. For npy and npz a Uint8Array is an array of small numbers, unless it is a
 * Buffer.
 * @param {unknown} value
 * @param {string} type
 */
function asBytes(value, type) {
  const isArrayType = type === 'npy' || type === 'npz';
  if (isArrayType ? Buffer.isBuffer(value) : value instanceof Uint8Array) {
    const bytes = /** @type {Uint8Array} */ (value);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  return value instanceof ArrayBuffer ? Buffer.from(value) : undefined;
}

/** @param {string} type */
function adviceFor(type) {
  if (type === 'csv') {
    return 'give a list of objects, a list of rows whose first is the header, text, or a path';
  }
  if (type === 'parquet') return 'write a file with a library of its own and give its path';
  return 'give a Buffer, text or a path, or declare the output as json, npy or csv';
}

module.exports = { loadInput, logArtifact, saveOutput };
