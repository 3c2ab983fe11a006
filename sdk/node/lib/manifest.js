'use strict';

/** The manifest of a checkpoint: what it is, and every file of it with size and hash. */

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { join } = require('node:path');
const { writeText } = require('./files.js');
const { runInfo } = require('./run.js');

const MANIFEST = 'manifest.json';
const BLOCK = 1 << 20;

/**
 * @typedef {object} Manifest
 * @property {string} name
 * @property {number | null} step
 * @property {string} kind
 * @property {string} data
 * @property {number} [attempt]
 * @property {string} [time]
 * @property {{ path: string, size: number, sha256: string }[]} files
 */

/**
 * Describes what is in the folder now, with what is said of it, this run and attempt.
 * @param {string} folder
 * @param {{ name: string, step: number | null, kind: string, data: string }} said
 */
function writeManifest(folder, said) {
  const { runId, attempt } = runInfo();
  const files = filesOf(folder).map((path) => ({
    path,
    size: fs.statSync(join(folder, path)).size,
    sha256: sha256(join(folder, path)),
  }));
  const manifest = { schema: 1, ...said, run_id: runId, attempt, time: new Date(), files };
  writeText(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, 'The manifest');
}

/**
 * The manifest as it was written, or undefined where it is missing or damaged.
 * @param {string} folder
 * @returns {Manifest | undefined}
 */
function readManifest(folder) {
  try {
    const manifest = JSON.parse(fs.readFileSync(join(folder, MANIFEST), 'utf8'));
    return Array.isArray(manifest.files) && typeof manifest.data === 'string' ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What is wrong with a checkpoint's files, or undefined where every one is as it was saved.
 * @param {string} folder
 * @param {Manifest} manifest
 */
function faultOf(folder, manifest) {
  try {
    for (const { path, size, sha256: hash } of manifest.files) {
      const file = join(folder, path);
      const found = fs.statSync(file, { throwIfNoEntry: false });
      if (!found?.isFile()) return `${path} is missing`;
      if (found.size !== size || sha256(file) !== hash) return `${path} has changed`;
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Paths of all files below a folder, links to files among them.
 * @param {string} folder
 * @param {string} below
 * @returns {string[]}
 */
function filesOf(folder, below = '') {
  const entries = fs.readdirSync(join(folder, below), { withFileTypes: true });
  const paths = entries.flatMap((entry) => {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) return filesOf(folder, path);
    const isLinkToFolder = entry.isSymbolicLink() && fs.statSync(join(folder, path)).isDirectory();
    return isLinkToFolder || path === MANIFEST ? [] : [path];
  });
  return paths.sort();
}

/** @param {string} path */
function sha256(path) {
  const hash = createHash('sha256');
  const block = Buffer.allocUnsafe(BLOCK);
  const descriptor = fs.openSync(path, 'r');
  try {
    for (;;) {
      const count = fs.readSync(descriptor, block, 0, BLOCK, null);
      if (count === 0) return hash.digest('hex');
      hash.update(block.subarray(0, count));
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

module.exports = { faultOf, MANIFEST, readManifest, writeManifest };
