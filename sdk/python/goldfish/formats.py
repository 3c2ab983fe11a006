"""What makes a file one of its type, and JSON files.

The same is asked when the run ends: a file that would then be no output is refused while the stage can still do
something about it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

from .errors import GoldfishError, shown

# How the files of a type begin.
BEGINNINGS = {"npy": b"\x93NUMPY", "npz": b"PK", "parquet": b"PAR1"}
# JSON is parsed whole only up to this size.
JSON_CHECK_LIMIT = 32 * 1024 * 1024


def check_bytes(data: bytes, kind: str, what: str, subject: str = "these bytes") -> None:
    """Raises GoldfishError where `data` is not the content of a file of that type. A plain `file` may be anything."""
    beginning = BEGINNINGS.get(kind, b"")
    if kind == "json":
        try:
            json.loads(data.decode("utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise GoldfishError("%s: %s are not JSON: %s" % (what, subject, error)) from None
    if not data.startswith(beginning) or (not data and kind not in ("file", "directory")):
        raise GoldfishError("%s: %s are not the content of a .%s file." % (what, subject, kind))


def check_file(path: Path, kind: str, what: str) -> None:
    """The same for a file that is to be saved under that type."""
    if not path.is_file():
        return  # for whoever copies it to judge
    if kind == "json" and os.path.getsize(path) > JSON_CHECK_LIMIT:
        return
    with open(path, "rb") as handle:
        check_bytes(
            handle.read() if kind == "json" else handle.read(8),
            kind,
            what,
            "the bytes of %s" % shown(str(path)),
        )


def load_json(path: Path, what: str, plain: bool) -> Any:
    """The value of a JSON file; `plain` makes no difference. NaN and infinities are read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise GoldfishError("%s: not a readable JSON file: %s" % (what, error)) from None


def _refuse(word: str) -> NoReturn:
    raise ValueError("it has no %s" % word)
