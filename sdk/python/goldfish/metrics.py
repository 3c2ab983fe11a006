"""Metrics and progress: one JSON line each, appended to the run's control folder."""

from __future__ import annotations

import json
import math
import os
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .errors import GoldfishError, shown
from .liveness import touch_now_and_then
from .run import environment
from .values import as_finite, as_number

# What the reader takes; it counts in UTF-16.
MAX_NAME = 128
MAX_MESSAGE = 200

# JSON has no words for these; readers know these three.
SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_opened: Optional[Tuple[str, int]] = None


def log_metric(name: str, value: Any, step: Any = None) -> None:
    """Logs one number under a name ("loss", "train/accuracy"), at a step if given.

    `value` is an int or float (also of numpy); NaN and infinities are kept. `step` is a finite number.
    Safe from several threads and processes. Raises GoldfishError for anything that is no number.
    """
    log_metrics({name: value}, step)


def log_metrics(values: Mapping[str, Any], step: Any = None) -> None:
    """Logs several numbers of one step together: all of them, or none where one is wrong."""
    if not isinstance(values, Mapping):
        raise GoldfishError("log_metrics takes a dict of numbers by name, not %s." % shown(values))
    place = None if step is None else as_finite(step, "The step")
    time = _now()
    lines: List[Dict[str, Any]] = []
    for name, value in values.items():
        line = {"name": _named(name), "value": _sayable(as_number(value, "Metric %s" % name))}
        if place is not None:
            line["step"] = place
        line["time"] = time
        lines.append(line)
    _append(lines)


def progress(fraction: float, message: str = "") -> None:
    """Says how far the stage is, from 0 to 1 (values beyond are cut), and what it is doing, in a few words."""
    done = min(1.0, max(0.0, as_finite(fraction, "The fraction")))
    _append([{"progress": done, "message": str(message)[:MAX_MESSAGE], "time": _now()}])


def _append(lines: List[Dict[str, Any]]) -> None:
    # Spaces as in metrics.jsonl of other writers do not matter; one write per call does: appends of one write
    # are not torn apart by other threads and processes.
    data = "".join(json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n" for line in lines).encode(
        "ascii"
    )
    path = os.path.join(environment("GOLDFISH_CONTROL"), "metrics.jsonl")
    try:
        handle = _handle(path)
        while data:
            # A short write happens only where the disk is full; the rest then fails and says so.
            data = data[os.write(handle, data) :]
    except OSError as error:
        raise GoldfishError("The metric cannot be written: %s." % (error.strerror or error)) from None
    touch_now_and_then()


def _handle(path: str) -> int:
    global _opened
    if _opened is None or _opened[0] != path:
        # Kept open for good: O_APPEND makes it safe to share with threads and forked children.
        _opened = (path, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644))
    return _opened[1]


def _named(name: Any) -> str:
    # Counted by hand: the first use of a codec imports it, and a child forked meanwhile would wait for that forever.
    fits = (
        isinstance(name, str) and name.isprintable() and sum(1 + (ord(c) > 0xFFFF) for c in name) <= MAX_NAME
    )
    if not fits or not name.strip():
        raise GoldfishError(
            "A metric's name is 1 to %d printable characters, not %s." % (MAX_NAME, shown(name))
        )
    return name


def _sayable(number: float) -> Any:
    return number if math.isfinite(number) else SPECIAL[str(float(number))]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
