"""Waiting until a checkpoint is where the end of this machine does not reach it.

A rented machine takes its disk with it. Where GOLDFISH_KEPT is `wait`, the machine copies every checkpoint to the
bucket as soon as it has its name, and then makes an empty file `.kept-<its folder>` beside it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from .copying import remove
from .errors import GoldfishError
from .run import environment

# So long for any checkpoint, and a second more for each so many bytes of it.
PATIENCE_SECONDS = 600.0
BYTES_A_SECOND = 4_000_000
# Once the run was asked to stop there is little time for anything else; what is not sent yet is sent after its end.
STOP_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5


def wait_until_kept(folder: Path, what: str) -> None:
    """Returns when the checkpoint is safe, or was removed because a newer one is.

    Raises GoldfishError when that takes too long.
    """
    if os.environ.get("GOLDFISH_KEPT") != "wait":
        return
    stop = os.path.join(environment("GOLDFISH_CONTROL"), "stop")
    patience = PATIENCE_SECONDS + _size(folder) / BYTES_A_SECOND
    limit, stopped, pause = time.monotonic() + patience, False, FIRST_PAUSE
    while not os.path.lexists(_mark(folder)) and folder.exists():
        if not stopped and os.path.exists(stop):
            stopped, limit = True, min(limit, time.monotonic() + STOP_SECONDS)
        if time.monotonic() >= limit:
            when = "before the run was to stop" if stopped else "within %d seconds" % patience
            raise GoldfishError(
                "%s did not reach the bucket %s: it is on this machine only, which goes on trying." % (what, when)
            )
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


def remove_checkpoint(folder: Path) -> None:
    """With the file that says that it was kept."""
    remove(folder)
    remove(_mark(folder))


def _mark(folder: Path) -> Path:
    return folder.with_name(".kept-" + folder.name)


def _size(folder: Path) -> int:
    """Of all its files; those that another process removes just now are nothing."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                pass
    return size
