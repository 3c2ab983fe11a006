"""The machine itself: what it remembers over a reboot, how old it is, whether it is ready, its disks."""

import json
import os
import subprocess
import threading
import time

from bootstrap import say
from worker_files import write_whole
from worker_http import wait
from worker_places import DEVICES, LIVED, STATE

COMMAND_SECONDS = 60
FORMAT_SECONDS = 600
LOOK_SECONDS = 1.0
NOTHING = {"boots": 0, "firstBoot": None, "number": 0, "job": "none", "runId": None, "attempt": 0, "prefix": None}
DRIVER = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
# blkid's word for a disk on which it finds nothing at all.
NO_FILE_SYSTEM = 2


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


def wait_until_ready(engine, accelerators, check):
    """Until the container engine answers, and a driver where there are accelerators: its version, or None. check() may raise."""
    told = None
    while True:
        engine_answers = engine.answers()
        driver = driver_version() if accelerators else None
        if engine_answers and (driver or not accelerators):
            return driver
        missing = "the driver" if engine_answers else "the container engine"
        if missing != told:
            told = missing
            say("waits for %s" % missing)
        wait(LOOK_SECONDS, check)


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


# --- disks ---------------------------------------------------------------------------------------------------------


class DiskTrouble(Exception):
    """A data disk that cannot be used."""


def mount_disks(disks):
    """Each where it belongs. One that holds anything is never formatted."""
    for disk in disks:
        device = os.path.join(DEVICES, "google-%s" % disk["name"])
        if not os.path.exists(device):
            raise DiskTrouble("the disk %s is not there" % disk["name"])
        os.makedirs(disk["mount"], mode=0o755, exist_ok=True)
        if os.path.ismount(disk["mount"]):
            continue
        # Low-level probing: what a cache knows may be of another disk.
        probed = run(["blkid", "-p", "-o", "value", "-s", "TYPE", device], COMMAND_SECONDS)
        if probed.returncode == NO_FILE_SYSTEM:
            say("formats the disk %s" % disk["name"])
            must(["mkfs.ext4", "-q", "-m", "0", device], FORMAT_SECONDS)
        elif probed.returncode != 0 or not probed.stdout.strip():
            raise DiskTrouble("nobody can say what is on the disk %s" % disk["name"])
        must(["mount", "-o", "discard,defaults", device, disk["mount"]], COMMAND_SECONDS)


def must(command, seconds):
    try:
        if run(command, seconds).returncode == 0:
            return
    except (OSError, subprocess.TimeoutExpired):
        pass
    raise DiskTrouble("%s failed" % command[0])
