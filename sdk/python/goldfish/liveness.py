"""Signs of life, and the question whether to stop.

A daemon thread touches the heartbeat file while the process lives, so that a stage that computes silently
for an hour is not taken for dead. It is the process that imports the library that beats: a forked child has
no thread of its own, and touches the file only when it logs something.
"""

from __future__ import annotations

import os
import threading
import time

from .errors import GoldfishError, shown
from .run import environment, in_run

# Readers expect a touch at least every minute.
INTERVAL_SECONDS = 20.0

_listens = None
_last_touch = 0.0
_thread = None


def heartbeat(message: str = "") -> None:
    """Touches the heartbeat now; a message (one short line) is kept in the file for whoever looks.

    Needed only where the interpreter cannot run threads for minutes, in long calls of compiled code that hold
    its lock. Raises GoldfishError outside of a run.
    """
    path = _path()
    try:
        _touch(path)
        if message:
            with open(path, "w", encoding="utf-8", errors="replace") as handle:
                handle.write(" ".join(str(message).split())[:500] + "\n")
    except OSError as error:
        raise GoldfishError(
            "The heartbeat %s cannot be written: %s." % (shown(path), error.strerror or error)
        ) from None


def should_stop() -> bool:
    """True once the run has been asked to end (cancel, timeout, preemption): save what matters and return.

    Cheap enough for every step. A stage that has asked once has the grace period before SIGTERM comes; one that never
    asks gets SIGTERM at once. SIGKILL follows after the grace period.
    """
    control = environment("GOLDFISH_CONTROL")
    _listen(control)
    return os.path.exists(os.path.join(control, "stop"))


def _listen(control: str) -> None:
    """Says once that this stage watches `stop`. Where it cannot be said, SIGTERM comes at once, as for the others."""
    global _listens
    if _listens == control:
        return
    try:
        os.close(os.open(os.path.join(control, "listens"), os.O_CREAT | os.O_WRONLY, 0o644))
        _listens = control
    except OSError:
        pass


def touch_now_and_then() -> None:
    """Touches the file unless that was done within the last second. Never fails: the caller has other work."""
    global _last_touch
    now = time.monotonic()
    if now - _last_touch < 1.0:
        return
    _last_touch = now
    try:
        _touch(_path())
    except OSError:
        pass


def start() -> None:
    """The first sign of life, then the thread; once per process and only inside a run. Called at import."""
    global _thread
    if _thread is not None or not in_run():
        return
    touch_now_and_then()
    _thread = threading.Thread(target=_beat, name="goldfish-heartbeat", daemon=True)
    try:
        _thread.start()
    except RuntimeError:
        # No thread to be had (a limit on processes, an interpreter that is ending): metrics still are signs of life.
        pass


def _beat() -> None:
    path = _path()
    while True:
        time.sleep(INTERVAL_SECONDS)
        try:
            _touch(path)
        except OSError:
            # A control folder that is full or gone is for the supervisor to judge; the stage works on.
            pass


def _touch(path: str) -> None:
    try:
        os.utime(path)
    except FileNotFoundError:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _path() -> str:
    return os.path.join(environment("GOLDFISH_CONTROL"), "heartbeat")
