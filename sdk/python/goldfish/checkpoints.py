"""Stage checkpoints: state that a later attempt of the run goes on from.

Layout of GOLDFISH_CHECKPOINTS, shared by all attempts of a run: one folder `<8 digits>-<name>` per checkpoint,
numbered in the order they were saved, with the data and a `manifest.json` that is written last and names every
file with size and hash. A folder gets its name when all of it is durable. Checkpoints of other runs, where the
call asked for them, are in `from/<run id>/` in the same layout.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .arrays import is_array, load_npy, load_npz, save_npy, save_npz
from .copying import as_existing_path, copy, remove, sync_tree
from .errors import GoldfishError, known_names, shown
from .kept import remove_checkpoint, wait_until_kept
from .manifest import MANIFEST, read_manifest, verified, write_manifest
from .run import environment, run_info
from .values import as_finite, state_text

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}\Z")
FOLDER = re.compile(r"([0-9]{8,})-(.+)\Z")
UNFINISHED = re.compile(r"\.saving-([0-9]+)-[0-9a-f]{32}\Z")

_lock = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


def save_checkpoint(name: str, value: Any, step: Optional[int] = None, keep: Optional[int] = None) -> None:
    """Saves a stage checkpoint. It is durable when this returns: a power cut does not take it back, nor does the end of
    a rented machine.

    `value` is the path of a file or folder (copied), bytes, an array or a dict of arrays, or data that JSON can
    give back unchanged (dicts with text keys, lists, text, numbers, NaN included; tuples come back as lists).
    Anything else is refused: Goldfish never pickles by itself. `step`, a finite number, is kept with it. With `keep` older
    checkpoints of this name beyond that many are removed afterwards.
    Raises GoldfishError if the value cannot be saved; the earlier checkpoints are then untouched. On a rented machine
    also where it is saved, and does not reach the bucket for minutes, or before the run is to stop: then it is lost if
    the machine is.
    """
    if not isinstance(name, str) or not NAME.match(name):
        raise GoldfishError(
            'A checkpoint\'s name is 1 to 64 letters, digits, ".", "-" or "_", not %s.' % shown(name)
        )
    if keep is not None and (not isinstance(keep, int) or keep < 1):
        raise GoldfishError("keep must be a whole number of at least 1, not %s." % shown(keep))
    what = "Checkpoint %s" % name
    number = None if step is None else as_finite(step, "The step")
    root = Path(environment("GOLDFISH_CHECKPOINTS"))
    attempt = run_info()["attempt"]
    temporary = root / (".saving-%d-%s" % (attempt, uuid.uuid4().hex))
    try:
        with _lock:
            temporary.mkdir(parents=True)
            _remove_unfinished(root, attempt)
            kind, data = _write_data(temporary, value, what)
            write_manifest(temporary, {"name": name, "step": number, "kind": kind, "data": data})
            sync_tree(temporary)
            folder = _publish(temporary, root, name)
        # Others may save meanwhile, and none goes before the new one is safe.
        wait_until_kept(folder, what)
        if keep is not None:
            with _lock:
                _remove_older(root, name, keep)
    except OSError as error:
        raise GoldfishError("%s cannot be saved: %s." % (what, error.strerror or error)) from None
    finally:
        remove(temporary)


def load_checkpoint(run_id: Optional[str] = None, name: Optional[str] = None) -> Any:
    """The newest checkpoint of this run (all attempts), or of another run it was given; None if there is none.

    Gives back what was saved: the value, or for a file or folder the path of the copy (do not change it).
    With `name` only checkpoints of that name count. One that is damaged is named on stderr, and the one
    before it is taken.
    """
    for folder in _newest_first(_root_of(run_id), name):
        manifest, fault = verified(folder)
        if manifest is None:
            print(
                "goldfish: checkpoint %s is damaged (%s); trying the one before it" % (folder.name, fault),
                file=sys.stderr,
            )
            continue
        return _read_data(folder, manifest)
    return None


def list_checkpoints(run_id: Optional[str] = None) -> List[Dict[str, Any]]:
    """The checkpoints that `load_checkpoint` may choose from, oldest first: name, step, attempt, time."""
    result = []
    for folder in reversed(list(_newest_first(_root_of(run_id), None))):
        manifest = read_manifest(folder)
        if manifest is not None:
            result.append({key: manifest.get(key) for key in ("name", "step", "attempt", "time")})
    return result


def _root_of(run_id: Optional[str]) -> Path:
    root = Path(environment("GOLDFISH_CHECKPOINTS"))
    if run_id is None or run_id == run_info()["run_id"]:
        return root
    others = sorted(entry.name for entry in (root / "from").iterdir()) if (root / "from").is_dir() else []
    if run_id not in others:
        raise GoldfishError(
            "This run was not given the checkpoints of %s: %s."
            % (shown(run_id), known_names(str(run_id), others))
        )
    return root / "from" / run_id


def _newest_first(root: Path, name: Optional[str]) -> Iterator[Path]:
    found = []
    for entry in os.listdir(root) if root.is_dir() else []:
        match = FOLDER.match(entry)
        if match and (name is None or match.group(2) == name):
            found.append((int(match.group(1)), root / entry))
    return (folder for _, folder in sorted(found, reverse=True))


def _write_data(folder: Path, value: Any, what: str) -> Tuple[str, str]:
    """Writes the value into a folder of its own; gives its kind and the name of the file or folder."""
    source = as_existing_path(value, what)
    if source is None and isinstance(value, str):
        raise GoldfishError(
            "%s: there is no file or folder %s; to save text, put it into a dict." % (what, shown(value))
        )
    if source is not None:
        target = source.resolve().name or "data"
        if target == MANIFEST:
            target = "data-" + MANIFEST
        copy(source, folder / target, what)
        return ("folder" if (folder / target).is_dir() else "file"), target
    if isinstance(value, (bytes, bytearray, memoryview)):
        (folder / "data.bin").write_bytes(bytes(value))
        return "bytes", "data.bin"
    arrays = isinstance(value, Mapping) and bool(value) and all(is_array(item) for item in value.values())
    if arrays or is_array(value):
        kind = "npz" if arrays else "npy"
        with open(folder / ("data." + kind), "wb") as handle:
            (save_npz if arrays else save_npy)(handle, value, what)
        return kind, "data." + kind
    (folder / "data.json").write_text(state_text(value, what), encoding="utf-8")
    return "json", "data.json"


def _read_data(folder: Path, manifest: Dict[str, Any]) -> Any:
    path, kind = folder / manifest["data"], manifest["kind"]
    what = "Checkpoint %s" % folder.name
    if kind == "json":
        return json.loads(path.read_text(encoding="utf-8"))
    if kind == "bytes":
        return path.read_bytes()
    if kind == "npy":
        return load_npy(path, what, plain=False)
    if kind == "npz":
        return load_npz(path, what, plain=False)
    return path


def _publish(temporary: Path, root: Path, name: str) -> Path:
    newest = next(_newest_first(root, None), None)
    number = int(newest.name.split("-")[0]) + 1 if newest else 1
    while True:
        folder = root / ("%08d-%s" % (number, name))
        try:
            # Fails where another process took the number: a checkpoint folder is never empty.
            os.rename(temporary, folder)
            break
        except OSError:
            if not folder.exists():
                raise
            number += 1
    handle = os.open(root, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return folder


def _remove_unfinished(root: Path, attempt: int) -> None:
    """What earlier attempts were saving when they were killed. Attempts never overlap."""
    for entry in os.listdir(root):
        match = UNFINISHED.match(entry)
        if match and int(match.group(1)) < attempt:
            remove(root / entry)


def _remove_older(root: Path, name: str, keep: int) -> None:
    for folder in list(_newest_first(root, name))[keep:]:
        remove_checkpoint(folder)
