"""The machine itself: what it remembers over a reboot, how old it is, whether it is ready."""

import json
import os
import shutil
import subprocess
import threading
import time

from bootstrap import patience, say
from worker_files import write_whole
from worker_http import wait
from worker_places import ENGINE, LIVED, STATE

COMMAND_SECONDS = 60
LOOK_SECONDS = 1.0
# What an image installs at its boot is there by then; what is not there by then does not come.
INSTALL_SECONDS = 120.0
NOTHING = {"boots": 0, "firstBoot": None, "number": 0, "job": "none", "runId": None, "attempt": 0, "prefix": None}
DRIVER = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
ENGINES = ("dockerd", "docker", "podman")


class Memory:
    """`boots` counts every start of the worker program: what an earlier one began is never gone on with."""

    def __init__(self):
        self._state = dict(NOTHING, **read_json(STATE, {}))
        self.keep(boots=self.boots + 1, firstBoot=self._state["firstBoot"] or round(time.time(), 3))

    @property
    def boots(self):
        return self._state["boots"]

    @property
    def number(self):
        """Of the last job that this machine has had to do with."""
        return self._state["number"]

    @property
    def job(self):
        """What became of it: claimed, called_off, ended; none before the first."""
        return self._state["job"]

    @property
    def place(self):
        """(run, attempt, prefix) of it."""
        return self._state["runId"], self._state["attempt"], self._state["prefix"]

    def keep(self, **changed):
        self._state.update(changed)
        write_whole(STATE, json.dumps(self._state).encode())


class Age:
    """Seconds that the machine has run, over all its boots. No clock that somebody may set has a say in it."""

    def __init__(self):
        lived = read_json(LIVED, 0)
        self._before = float(lived) if isinstance(lived, (int, float)) else 0.0
        self._start = boot_seconds()
        self._lock = threading.Lock()

    def seconds(self):
        return self._before + boot_seconds() - self._start

    def keep(self):
        with self._lock:
            write_whole(LIVED, json.dumps(round(self.seconds(), 3)).encode())


def boot_seconds():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_json(path, otherwise):
    """A file that is damaged counts as one that is not there: it is renamed into place, so it was another's."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read().decode())
    except (OSError, ValueError):
        return otherwise


# --- readiness -----------------------------------------------------------------------------------------------------


class Unfit(Exception):
    """The machine's image lacks what no waiting brings; the text says what."""


def wait_until_ready(engine, accelerators, check):
    """Until the container engine answers, and a driver where there are accelerators: its version, or None.

    Raises Unfit where one of them is not even installed; check() may raise.
    """
    told, limit = None, time.monotonic() + patience(INSTALL_SECONDS)
    while True:
        engine_answers = engine.answers()
        driver = driver_version() if accelerators else None
        if engine_answers and (driver or not accelerators):
            return driver
        missing = "the driver" if engine_answers else "the container engine"
        if missing != told:
            told = missing
            say("waits for %s" % missing)
        lacks = lacking(engine_answers)
        if lacks is not None and time.monotonic() >= limit:
            raise Unfit(lacks)
        wait(LOOK_SECONDS, check)


def lacking(engine_answers):
    """What is not there to come up; None where it is."""
    if engine_answers:
        return None if shutil.which(DRIVER[0]) else "driver for its GPUs"
    # A socket may be there before the program that answers at it is looked for.
    is_there = os.path.exists(ENGINE.split("://", 1)[1]) or any(shutil.which(name) for name in ENGINES)
    return None if is_there else "container engine"


def driver_version():
    try:
        done = run(DRIVER, COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    return lines[0].strip()[:64] or None if done.returncode == 0 else None


def run(command, seconds):
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds
    )
