"""What Goldfish tells a stage: its config, its signals and their paths, which run it is."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from .errors import GoldfishError, known_names, shown

# Keys of configs/<stage>.yaml that speak to Goldfish, not to the stage.
RESERVED_KEYS = ("compute", "environment", "metrics")

# A folder or a file without a type of its own carries the bare name.
EXTENSIONS = {"npy": ".npy", "npz": ".npz", "csv": ".csv", "parquet": ".parquet", "json": ".json"}

_read: Optional[Tuple[str, Dict[str, Any]]] = None


def environment(name: str) -> str:
    """The value of a GOLDFISH_ variable. Raises GoldfishError outside of a run."""
    value = os.environ.get(name, "")
    if not value:
        raise GoldfishError(
            "%s is not set, so this program is not running as a Goldfish stage: "
            "start it with the run tool or `goldfish run WORKSPACE`." % name
        )
    return value


def in_run() -> bool:
    """True where the variables of a run are there."""
    return bool(os.environ.get("GOLDFISH_CONFIG") and os.environ.get("GOLDFISH_CONTROL"))


def document() -> Dict[str, Any]:
    """The run document behind GOLDFISH_CONFIG; it never changes while a run lasts, so it is read once."""
    global _read
    path = environment("GOLDFISH_CONFIG")
    if _read is not None and _read[0] == path:
        return _read[1]
    try:
        with open(path, encoding="utf-8") as handle:
            value = json.load(handle)
    except (OSError, ValueError) as error:
        raise GoldfishError("The run document behind GOLDFISH_CONFIG cannot be read: %s" % error) from None
    if not isinstance(value, dict):
        raise GoldfishError("The run document behind GOLDFISH_CONFIG is not a JSON object.")
    _read = (path, value)
    return value


def config() -> Dict[str, Any]:
    """The stage's parameters: configs/<stage>.yaml with its overrides, without reserved keys.

    A fresh plain dict at each call; changing it changes nothing else.
    """
    values = document().get("config") or {}
    return {key: copy.deepcopy(value) for key, value in values.items() if key not in RESERVED_KEYS}


def run_info() -> Dict[str, Any]:
    """Which run this is.

    Returns run_id, workspace, version ("v3"), stage (text) and attempt, rank, world_size (int; attempts
    count from 1, ranks from 0).
    """
    said = document().get("run") or {}

    def text(key: str) -> str:
        return str(said.get(key) or os.environ.get("GOLDFISH_" + key.upper(), ""))

    def number(key: str, default: int) -> int:
        value = said.get(key) or os.environ.get("GOLDFISH_" + key.upper())
        return int(value) if value else default

    return {
        "run_id": text("run_id"),
        "workspace": text("workspace"),
        "version": text("version"),
        "stage": text("stage"),
        "attempt": number("attempt", 1),
        "rank": number("rank", 0),
        "world_size": number("world_size", 1),
    }


def input_signal(name: str) -> Tuple[str, Path]:
    """Type and path of a declared input. Raises GoldfishError for any other name."""
    return _signal("inputs", "input", "GOLDFISH_INPUTS", name)


def output_signal(name: str) -> Tuple[str, Path]:
    """Type and path of a declared output. Raises GoldfishError for any other name."""
    return _signal("outputs", "output", "GOLDFISH_OUTPUTS", name)


def input_path(name: str) -> Path:
    """The path of an input: one file, or a folder for `directory` (and for a `dataset` of several files).

    Read-only. Raises GoldfishError for a name the pipeline does not declare.
    """
    return input_signal(name)[1]


def output_path(name: str) -> Path:
    """The path where an output must be when the stage ends: one file, or for `directory` a folder, made here.

    Raises GoldfishError for a name the pipeline does not declare.
    """
    kind, path = output_signal(name)
    if kind == "directory":
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GoldfishError("Output %s cannot be made: %s." % (name, error.strerror or error)) from None
    return path


def _signal(section: str, noun: str, variable: str, name: str) -> Tuple[str, Path]:
    declared = document().get(section) or {}
    entry = declared.get(name) if isinstance(name, str) else None
    if not isinstance(entry, dict):
        raise GoldfishError(
            "This stage has no %s %s: %s." % (noun, shown(name), known_names(str(name), declared))
        )
    kind = str(entry.get("type") or "file")
    folder = Path(environment(variable))
    path = entry.get("path") or name + EXTENSIONS.get(kind, "")
    # A relative path is below the folder; an absolute one stands for itself.
    return kind, folder / path
