'use strict';

/**
 * Waiting until a checkpoint is where the end of this machine does not reach it.
 *
 * A rented machine takes its disk with it. Where GOLDFISH_KEPT is `wait`, the machine copies every checkpoint to the
 * bucket as soon as it has its name, and then makes an empty file `.kept-<its folder>` beside it.
 */

const fs = require('node:fs');
const { basename, dirname, join } = require('node:path');
const { remove } = require('./copying.js');
const { GoldfishError } = require('./errors.js');
const { environment } = require('./run.js');

const patience = {
  /** So long for any checkpoint, and a millisecond more for each so many bytes of it. */
  anyMs: 600_000,
  bytesAMs: 4_000,
  /** Once the run was asked to stop there is little time for anything else; what is not sent yet is sent after its end. */
  stopMs: 5_000,
};
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;

/**
 * Returns when the checkpoint is safe, or was removed because a newer one is. Throws when it takes too long.
 * @param {string} folder
 * @param {string} what
 */
function waitUntilKept(folder, what) {
  if (process.env['GOLDFISH_KEPT'] !== 'wait') return;
  const stop = join(environment('GOLDFISH_CONTROL'), 'stop');
  const allMs = patience.anyMs + sizeOf(folder) / patience.bytesAMs;
  let limit = performance.now() + allMs;
  let stopped = false;
  let pause = FIRST_PAUSE_MS;
  while (!fs.existsSync(markOf(folder)) && fs.existsSync(folder)) {
    if (!stopped && fs.existsSync(stop)) {
      stopped = true;
      limit = Math.min(limit, performance.now() + patience.stopMs);
    }
    if (performance.now() >= limit) {
      const when = stopped ? 'before the run was to stop' : `within ${Math.floor(allMs / 1000)} seconds`;
      throw new GoldfishError(
        `${what} did not reach the bucket ${when}: it is on this machine only, which goes on trying.`,
      );
    }
    sleep(pause);
    pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
  }
}

/**
 * With the file that says that it was kept.
 * @param {string} folder
 */
function removeCheckpoint(folder) {
  remove(folder);
  remove(markOf(folder));
}

/** @param {string} folder */
function markOf(folder) {
  return join(dirname(folder), `.kept-${basename(folder)}`);
}

/**
 * Of all files below a folder; those that another process removes just now are nothing.
 * @param {string} folder
 * @returns {number}
 */
function sizeOf(folder) {
  try {
    return fs.readdirSync(folder, { withFileTypes: true }).reduce((size, entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return size + sizeOf(path);
      return size + (fs.lstatSync(path, { throwIfNoEntry: false })?.size ?? 0);
    }, 0);
  } catch {
    return 0;
  }
}

/**
 * The whole thread: the call that waits is a synchronous one.
 * @param {number} ms
 */
function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

module.exports = { patience, removeCheckpoint, waitUntilKept };
