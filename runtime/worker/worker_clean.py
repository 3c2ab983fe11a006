"""The end of everything that was of a job: its containers, its processes, its files, on data disks too. Its image may stay."""

import json
import os
import signal
import time

import wrapper_linux as linux
from worker_disks import wipe_disks
from worker_files import remove_tree
from worker_places import ATTEMPT, JOB

# How long processes that are killed may take to be gone.
END_SECONDS = 20.0


def wipe(run_id, engine, names=()):
    """Of this run, if one is known. Raises OSError, EngineGone or EngineRefused where something is left."""
    end_wrapper()
    engine.remove_all(names)
    # kill point: turn/containers-removed
    if run_id is not None:
        end_processes(run_id)
    remove_tree(JOB)
    wipe_disks()


def end_wrapper():
    """Of a worker program that ended before it."""
    try:
        with open(os.path.join(ATTEMPT, "wrapper.json"), "rb") as file:
            said = json.loads(file.read().decode())
        pid, start, boot = int(said["pid"]), said["start"], said["bootId"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if boot == linux.boot_id() and pid > 1 and linux.start_time(pid) == start:
        linux.send(pid, signal.SIGKILL)


def end_processes(run_id):
    """Those that carry the run in their environment."""
    mark, limit = [b"GOLDFISH_RUN_ID=" + run_id.encode()], time.monotonic() + END_SECONDS
    while True:
        table = linux.processes()
        targets = {pid for pid in linux.carrying(mark, table) if table[pid][1] not in "ZX"} - {os.getpid()}
        if not targets:
            return
        if time.monotonic() > limit:
            raise OSError("processes of the last job could not be ended")
        for pid in targets:
            linux.send(pid, signal.SIGKILL)
        time.sleep(0.02)
