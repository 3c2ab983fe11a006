'use strict';

/** npz files: npy files by name in a zip archive. */

const { GoldfishError, shown } = require('./errors.js');
const { NdArray } = require('./nd-array.js');
const { readNpy, writeNpy } = require('./npy.js');
const { readZip, writeZip } = require('./zip.js');

/**
 * The whole file, in parts: equal arrays give equal bytes.
 * @param {unknown} value  an object of arrays by name
 * @param {string} what    how messages begin
 */
function writeNpz(value, what) {
  const isOne = value instanceof NdArray || ArrayBuffer.isView(value) || Array.isArray(value);
  if (typeof value !== 'object' || value === null || isOne) {
    throw new GoldfishError(`${what}: npz takes an object of arrays by name, not ${shown(value)}.`);
  }
  const members = Object.entries(value).map(([name, array]) => {
    if (name === '' || /[/\\\0]/.test(name)) {
      throw new GoldfishError(`${what}: ${shown(name)} is no name for an array.`);
    }
    return { name: `${name}.npy`, data: writeNpy(array, `${what}: ${name}`) };
  });
  return writeZip(members, what);
}

/**
 * All arrays by name.
 * @param {string} path
 * @param {string} what
 * @returns {Record<string, import('../index.d.ts').NdArray>}
 */
function readNpz(path, what) {
  const arrays = readZip(path, what, (name) => name.endsWith('.npy')).map(({ name, data }) => {
    const bare = name.slice(0, -'.npy'.length);
    return /** @type {const} */ ([bare, readNpy(data, `${what}: ${bare}`)]);
  });
  return Object.fromEntries(arrays);
}

module.exports = { readNpz, writeNpz };
