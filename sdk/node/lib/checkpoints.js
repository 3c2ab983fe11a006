'use strict';

/**
 * Stage checkpoints: state that a later attempt of the run goes on from.
 *
 * Layout of GOLDFISH_CHECKPOINTS, shared by all attempts of a run and with Goldfish's libraries for other languages: one
 * folder `<8 digits>-<name>` per checkpoint, numbered in the order they were saved, with the data and a
 * `manifest.json` that is written last and names every file with size and hash. A folder gets its name when all of it
 * is durable. Checkpoints of other runs, where the call asked for them, are in `from/<run id>/` in the same layout.
 */

const { randomUUID } = require('node:crypto');
const fs = require('node:fs');
const { basename, join } = require('node:path');
const { asExistingPath, copy, isFolder, remove, sync, syncTree } = require('./copying.js');
const {
  checkedOptions,
  GoldfishError,
  isSystemError,
  knownNames,
  shown,
  systemProblem,
} = require('./errors.js');
const { readBytes, writeBytes, writeText } = require('./files.js');
const { jsonText, readJson } = require('./json.js');
const { removeCheckpoint, waitUntilKept } = require('./kept.js');
const { faultOf, MANIFEST, readManifest, writeManifest } = require('./manifest.js');
const { finite } = require('./metrics.js');
const { NdArray } = require('./nd-array.js');
const { typeOfData } = require('./nested.js');
const { readNpy, writeNpy } = require('./npy.js');
const { readNpz, writeNpz } = require('./npz.js');
const { environment, runInfo } = require('./run.js');

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;
const FOLDER = /^([0-9]{8,})-(.+)$/;
const UNFINISHED = /^\.saving-([0-9]+)-[0-9a-f]{32}$/;

/** @typedef {import('../index.d.ts').CheckpointOptions} CheckpointOptions */

/**
 * @param {string} name
 * @param {unknown} value
 * @param {number | CheckpointOptions} [options]
 */
function saveCheckpoint(name, value, options) {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new GoldfishError(
      `A checkpoint's name is 1 to 64 letters, digits, ".", "-" or "_", not ${shown(name)}.`,
    );
  }
  const given = typeof options === 'number' ? { step: options } : options;
  const { step, keep } = checkedOptions(given, ['step', 'keep'], 'saveCheckpoint');
  if (keep !== undefined && !(Number.isInteger(keep) && keep >= 1)) {
    throw new GoldfishError(`keep must be a whole number of at least 1, not ${shown(keep)}.`);
  }
  const what = `Checkpoint ${name}`;
  const number = step === undefined || step === null ? null : finite(step, 'The step');
  const root = environment('GOLDFISH_CHECKPOINTS');
  const { attempt } = runInfo();
  const temporary = join(root, `.saving-${attempt}-${randomUUID().replaceAll('-', '')}`);
  try {
    fs.mkdirSync(temporary, { recursive: true });
    removeUnfinished(root, attempt);
    const { kind, data } = writeData(temporary, value, what);
    writeManifest(temporary, { name, step: number, kind, data });
    syncTree(temporary);
    waitUntilKept(publish(temporary, root, name), what);
    if (keep !== undefined) for (const older of newestFirst(root, name).slice(keep)) removeCheckpoint(older);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new GoldfishError(`${what} cannot be saved: ${systemProblem(error)}.`);
  } finally {
    remove(temporary);
  }
}

/**
 * @param {string | import('../index.d.ts').CheckpointChoice} [choice]
 * @returns {any}
 */
function loadCheckpoint(choice) {
  const given = typeof choice === 'string' ? { runId: choice } : (choice ?? undefined);
  const { runId, name } = checkedOptions(given, ['runId', 'name'], 'loadCheckpoint');
  for (const folder of newestFirst(rootOf(runId), name)) {
    const manifest = readManifest(folder);
    const fault = manifest ? faultOf(folder, manifest) : 'no readable manifest';
    if (manifest && fault === undefined) return readData(folder, manifest);
    process.stderr.write(
      `goldfish: checkpoint ${basename(folder)} is damaged (${fault}); trying the one before it\n`,
    );
  }
  return null;
}

/** @param {string} [runId] */
function listCheckpoints(runId) {
  return newestFirst(rootOf(runId), undefined)
    .reverse()
    .flatMap((folder) => {
      const manifest = readManifest(folder);
      if (!manifest) return [];
      const { name, step, attempt = 1, time = '' } = manifest;
      return [{ name, step, attempt, time }];
    });
}

/** @param {string | undefined} runId */
function rootOf(runId) {
  const root = environment('GOLDFISH_CHECKPOINTS');
  if (runId === undefined || runId === runInfo().runId) return root;
  const others = isFolder(join(root, 'from')) ? fs.readdirSync(join(root, 'from')) : [];
  if (others.includes(runId)) return join(root, 'from', runId);
  throw new GoldfishError(
    `This run was not given the checkpoints of ${shown(runId)}: ${knownNames(String(runId), others)}.`,
  );
}

/**
 * @param {string} root
 * @param {string | undefined} name
 */
function newestFirst(root, name) {
  const found = (isFolder(root) ? fs.readdirSync(root) : []).flatMap((entry) => {
    const [, number, named] = FOLDER.exec(entry) ?? [];
    return number && (name === undefined || named === name) ? [{ number: Number(number), entry }] : [];
  });
  found.sort((a, b) => b.number - a.number || (a.entry < b.entry ? 1 : -1));
  return found.map(({ entry }) => join(root, entry));
}

/**
 * Writes the value into a folder of its own; gives its kind and the name of the file or folder.
 * @param {string} folder
 * @param {unknown} value
 * @param {string} what
 */
function writeData(folder, value, what) {
  const source = asExistingPath(value, what);
  if (source === undefined && typeof value === 'string') {
    throw new GoldfishError(
      `${what}: there is no file or folder ${shown(value)}; to save text, put it into an object.`,
    );
  }
  if (source !== undefined) {
    const own = basename(fs.realpathSync(source)) || 'data';
    const data = own === MANIFEST ? `data-${MANIFEST}` : own;
    copy(source, join(folder, data), what);
    return { kind: isFolder(join(folder, data)) ? 'folder' : 'file', data };
  }
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) {
    writeBytes(join(folder, 'data.bin'), [new Uint8Array(value)]);
    return { kind: 'bytes', data: 'data.bin' };
  }
  if (isArray(value)) {
    writeBytes(join(folder, 'data.npy'), writeNpy(value, what));
    return { kind: 'npy', data: 'data.npy' };
  }
  const items = typeof value === 'object' && value !== null ? Object.values(value) : [];
  if (!Array.isArray(value) && items.length > 0 && items.every(isArray)) {
    writeBytes(join(folder, 'data.npz'), writeNpz(value, what));
    return { kind: 'npz', data: 'data.npz' };
  }
  // NaN and infinities in Python's own spelling: an infinite best loss is a fair state to be in.
  writeText(join(folder, 'data.json'), jsonText(value, { what, strict: true }), what);
  return { kind: 'json', data: 'data.json' };
}

/** @param {unknown} value */
function isArray(value) {
  return value instanceof NdArray || (!Array.isArray(value) && typeOfData(value) !== undefined);
}

/**
 * @param {string} folder
 * @param {import('./manifest.js').Manifest} manifest
 */
function readData(folder, { data, kind }) {
  const path = join(folder, data);
  const what = `Checkpoint ${basename(folder)}`;
  if (kind === 'json') return readJson(readBytes(path).toString('utf8'), what);
  if (kind === 'bytes') return readBytes(path);
  if (kind === 'npy') return readNpy(readBytes(path), what);
  return kind === 'npz' ? readNpz(path, what) : path;
}

/**
 * Its folder.
 * @param {string} temporary
 * @param {string} root
 * @param {string} name
 */
function publish(temporary, root, name) {
  const newest = newestFirst(root, undefined)[0];
  let number = newest === undefined ? 1 : Number(basename(newest).split('-')[0]) + 1;
  for (;;) {
    const folder = join(root, `${String(number).padStart(8, '0')}-${name}`);
    try {
      // Fails where somebody else took the name: a checkpoint folder is never empty.
      fs.renameSync(temporary, folder);
      sync(root);
      return folder;
    } catch (error) {
      if (!fs.existsSync(folder)) throw error;
      number += 1;
    }
  }
}

/**
 * What earlier attempts were saving when they were killed. Attempts never overlap.
 * @param {string} root
 * @param {number} attempt
 */
function removeUnfinished(root, attempt) {
  for (const entry of fs.readdirSync(root)) {
    const earlier = Number(UNFINISHED.exec(entry)?.[1] ?? attempt) < attempt;
    if (earlier) remove(join(root, entry));
  }
}

module.exports = { listCheckpoints, loadCheckpoint, saveCheckpoint };
