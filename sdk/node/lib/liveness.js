'use strict';

/**
 * Signs of life, and the question whether to stop.
 *
 * A thread of its own touches the heartbeat file while the process lives, so that a stage that computes silently for
 * an hour is not taken for dead: a timer of the main thread would wait for the end of the computation. The process
 * that imports the library beats; a child process does only if it imports it too.
 */

const { closeSync, existsSync, openSync, utimesSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { getEnvironmentData, setEnvironmentData, Worker } = require('node:worker_threads');
const { GoldfishError, systemProblem } = require('./errors.js');
const { environment, inRun } = require('./run.js');

/** Readers expect a touch at least every minute. */
const INTERVAL_MS = 20_000;
/** Known to every thread that is started later: one of them beats for all. */
const BEATING = 'goldfish-heartbeat';

let lastTouch = Number.NEGATIVE_INFINITY;
/** @type {string | undefined} */
let listening;

/**
 * Touches the heartbeat now; a message (one short line) is kept in the file for whoever looks.
 * Not needed for the run to be seen alive.
 */
function heartbeat(message = '') {
  const path = heartbeatPath();
  try {
    touch(path);
    const line = String(message).replace(/\s+/g, ' ').trim().slice(0, 500);
    if (line !== '') writeFileSync(path, `${line}\n`);
  } catch (error) {
    throw new GoldfishError(`The heartbeat cannot be written: ${systemProblem(error)}.`);
  }
}

/**
 * True once the run has been asked to end (cancel, timeout, preemption): save what matters and return.
 * Cheap enough for every step. Who asks has the grace period before SIGTERM; those who do not get it at once.
 */
function shouldStop() {
  const control = environment('GOLDFISH_CONTROL');
  if (listening !== control) {
    listening = control;
    try {
      closeSync(openSync(join(control, 'listens'), 'a', 0o644));
    } catch {
      // Without it SIGTERM comes at once; that is no reason to end the stage's work.
    }
  }
  return existsSync(join(control, 'stop'));
}

/** Touches the file unless that was done within the last second. Never fails: the caller has other work. */
function touchNowAndThen() {
  const now = performance.now();
  if (now - lastTouch < 1000) return;
  lastTouch = now;
  try {
    touch(heartbeatPath());
  } catch {
    // As in the worker.
  }
}

/** The first sign of life, then the thread; once per process and only inside a run. Called at import. */
function start(intervalMs = INTERVAL_MS) {
  if (!inRun() || getEnvironmentData(BEATING) === process.pid) return;
  setEnvironmentData(BEATING, process.pid);
  touchNowAndThen();
  const beat = { path: heartbeatPath(), intervalMs };
  try {
    // Nothing of the program's own settings: no preloaded modules, no inspector.
    const options = { workerData: beat, env: {}, execArgv: [], stdout: false, stderr: false };
    const worker = new Worker(join(__dirname, 'heartbeat-worker.js'), options);
    worker.once('error', () => beatByTimer(beat));
    worker.unref();
  } catch {
    // No threads allowed (`node --permission`).
    beatByTimer(beat);
  }
}

/**
 * The second best: it is silent while the program computes.
 * @param {{ path: string, intervalMs: number }} beat
 */
function beatByTimer({ path, intervalMs }) {
  const timer = setInterval(() => {
    try {
      touch(path);
    } catch {
      // As in the worker.
    }
  }, intervalMs);
  timer.unref();
}

/** @param {string} path */
function touch(path) {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    closeSync(openSync(path, 'a', 0o644));
  }
}

function heartbeatPath() {
  return join(environment('GOLDFISH_CONTROL'), 'heartbeat');
}

module.exports = { heartbeat, shouldStop, start, touch, touchNowAndThen };
