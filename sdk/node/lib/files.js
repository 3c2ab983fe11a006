'use strict';

/** Reading and writing whole files, of any size that fits into memory. */

const fs = require('node:fs');
const { GoldfishError } = require('./errors.js');

/** Node reads and writes at most 2 GiB at once. */
const AT_ONCE = 0x40000000;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * The whole file, or its first bytes. Memory of its own, so that numbers in it are aligned.
 * @param {string} path
 */
function readBytes(path, limit = Number.POSITIVE_INFINITY) {
  const descriptor = fs.openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafeSlow(Math.min(fs.fstatSync(descriptor).size, limit));
    let filled = 0;
    while (filled < buffer.length) {
      const wanted = Math.min(buffer.length - filled, AT_ONCE);
      const count = fs.readSync(descriptor, buffer, filled, wanted, filled);
      if (count === 0) break;
      filled += count;
    }
    return buffer.subarray(0, filled);
  } finally {
    fs.closeSync(descriptor);
  }
}

/**
 * @param {string} path
 * @param {readonly Uint8Array[]} parts
 */
function writeBytes(path, parts) {
  const descriptor = fs.openSync(path, 'wx', 0o644);
  try {
    for (const part of parts) {
      for (let done = 0; done < part.length; ) {
        done += fs.writeSync(descriptor, part, done, Math.min(part.length - done, AT_ONCE));
      }
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

/**
 * @param {string} path
 * @param {string} what
 * @returns {string}
 */
function readText(path, what) {
  const bytes = readBytes(path);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    const isCode =
      error instanceof TypeError && 'code' in error && error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA';
    const why = isCode
      ? 'it is not UTF-8 text'
      : 'it is too large to be one text; read it in parts from inputPath';
    throw new GoldfishError(`${what}: cannot be read: ${why}.`);
  }
}

/**
 * @param {string} path
 * @param {string} text
 * @param {string} what
 */
function writeText(path, text, what) {
  const broken = text.search(LONE_SURROGATE);
  if (broken !== -1)
    throw new GoldfishError(`${what}: the text is not valid Unicode at character ${broken}.`);
  writeBytes(path, [Buffer.from(text, 'utf8')]);
}

module.exports = { readBytes, readText, writeBytes, writeText };
