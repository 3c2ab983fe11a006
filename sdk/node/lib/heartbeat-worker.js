'use strict';

/** The thread that says that the process lives, whatever the program's own thread is busy with. */

const { workerData } = require('node:worker_threads');
const { touch } = require('./liveness.js');

setInterval(() => {
  try {
    touch(workerData.path);
  } catch {
    // A control folder that is full or gone is for the supervisor to judge; the stage works on.
  }
}, workerData.intervalMs);
