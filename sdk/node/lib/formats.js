'use strict';

/**
 * What makes a file one of its type. The same is asked when the run ends: a file that would then be no output is refused
 * while the stage can still do something about it.
 */

const fs = require('node:fs');
const { GoldfishError, shown } = require('./errors.js');
const { readBytes } = require('./files.js');

/**
 * How the files of a type begin.
 * @type {Record<string, string>}
 */
const BEGINNINGS = { npy: '\x93NUMPY', npz: 'PK', parquet: 'PAR1' };
/** JSON is parsed whole only up to this size. */
const JSON_CHECK_LIMIT = 32 * 1024 * 1024;

/**
 * Throws where the bytes are not the content of a file of that type. A plain `file` may be anything.
 * @param {Buffer} bytes
 * @param {string} type
 * @param {{ what: string, subject?: string }} words  how the message begins, and what it speaks of
 */
function checkBytes(bytes, type, { what, subject = 'these bytes' }) {
  const beginning = BEGINNINGS[type] ?? '';
  const begins = bytes.toString('latin1', 0, beginning.length) === beginning;
  const isMissing = bytes.length === 0 && type !== 'file';
  if (type === 'json') checkJson(bytes, `${what}: ${subject}`);
  else if (!begins || isMissing) {
    throw new GoldfishError(`${what}: ${subject} are not the content of a .${type} file.`);
  }
}

/**
 * The same for a file that is to be saved under that type.
 * @param {string} path
 * @param {string} type
 * @param {string} what
 */
function checkFile(path, type, what) {
  const found = fs.statSync(path);
  // What is no file is for whoever copies it to judge.
  if (!found.isFile() || (type === 'json' && found.size > JSON_CHECK_LIMIT)) return;
  const bytes = type === 'json' ? readBytes(path) : readBytes(path, 8);
  checkBytes(bytes, type, { what, subject: `the bytes of ${shown(path)}` });
}

/**
 * @param {Buffer} bytes
 * @param {string} subject
 */
function checkJson(bytes, subject) {
  try {
    JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new GoldfishError(`${subject} are not JSON: ${why.replace(/\s+/g, ' ')}`);
  }
}

module.exports = { checkBytes, checkFile };
