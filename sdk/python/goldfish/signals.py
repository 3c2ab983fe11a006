"""Loading inputs and saving outputs, by the type the pipeline declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from .arrays import is_array, load_npy, load_npz, save_npy, save_npz
from .copying import as_existing_path, copy, place, replace
from .errors import GoldfishError, explained, shown
from .formats import check_bytes, check_file, load_json
from .run import environment, input_signal, output_signal
from .tables import is_table, load_csv, load_parquet, save_csv, save_parquet
from .values import json_text


def load_input(name: str, plain: bool = False) -> Any:
    """The data of an input, as the richest thing the stage has a library for.

    npy: an array (without numpy nested lists); npz: a dict of them; csv: a DataFrame (without pandas a list of
    dicts, numbers read as numbers, empty cells None); parquet: a DataFrame; json: the value; file, directory
    and dataset: the path. `plain=True` gives lists and dicts whatever is installed.
    Raises GoldfishError for an unknown name and for a file that is damaged.
    """
    kind, path = input_signal(name)
    what = "Input %s" % name
    if not path.exists():
        raise GoldfishError("%s is declared but not there." % what)
    load = LOADERS.get(kind)
    if load is None:
        return path
    with explained("%s cannot be read" % what):
        return load(path, what, plain)


LOADERS = {"npy": load_npy, "npz": load_npz, "csv": load_csv, "parquet": load_parquet, "json": load_json}


def save_output(name: str, value: Any, move: bool = False) -> Path:
    """Saves an output where the pipeline expects it and returns that path. Saving again replaces.

    npy: an array or nested lists; npz: a dict of them; csv: a DataFrame, a list of dicts or of rows
    (first row the header), or text; parquet: a DataFrame or list of dicts; json: any JSON value;
    file: bytes or text (UTF-8). Every type also takes a path: a pathlib.Path, or text that names something
    that exists. It is copied, or with `move=True` moved. A directory takes the path of a folder only.
    The file appears whole or not at all, and equal values give equal bytes.
    Raises GoldfishError for an unknown name and for a value the type cannot hold. Nothing is ever pickled.
    """
    kind, target = output_signal(name)
    what = "Output %s (%s)" % (name, kind)
    source = as_existing_path(value, what)
    if source is not None and isinstance(value, str) and kind != "directory" and source.is_dir():
        source = None  # a word that happens to be a folder's name
    try:
        if source is not None:
            if source.is_dir() != (kind == "directory"):
                raise GoldfishError(
                    "%s needs a %s, and %s is none."
                    % (what, "folder" if kind == "directory" else "file", shown(str(source)))
                )
            check_file(source, kind, what)
            place(source, target, what, move)
        elif kind == "directory":
            raise GoldfishError(
                "%s takes the path of a folder; or write into output_path(%r)." % (what, name)
            )
        else:
            replace(target, lambda temporary: _write(temporary, kind, value, what))
    except OSError as error:
        raise GoldfishError("%s cannot be saved: %s." % (what, error.strerror or error)) from None
    except UnicodeEncodeError:
        raise GoldfishError("%s: one of the texts is not valid Unicode." % what) from None
    return target


def log_artifact(path: Any, name: Optional[str] = None) -> Path:
    """Keeps a copy of a file or folder beside the outputs, under `artifacts/<name>` (default: its own name).

    For people and tools to look at. It is not passed to other stages; declare an output for that. Where the
    pipeline declares a directory called `artifacts`, these files are its content.
    Returns the copy's path. Raises GoldfishError if there is nothing at `path` or the name is no plain name.
    """
    source = Path(path)
    label = source.name if name is None else name
    if not isinstance(label, str) or label in ("", ".", "..") or "/" in label or "\0" in label:
        raise GoldfishError("An artifact's name is a plain file name, not %s." % shown(label))
    what = "Artifact %s" % label
    if not source.exists():
        raise GoldfishError("%s: there is no file or folder %s." % (what, shown(str(path))))
    target = Path(environment("GOLDFISH_OUTPUTS")) / "artifacts" / label
    try:
        replace(target, lambda temporary: copy(source, temporary, what))
    except OSError as error:
        raise GoldfishError("%s cannot be kept: %s." % (what, error.strerror or error)) from None
    return target


def _write(path: Path, kind: str, value: Any, what: str) -> None:
    if isinstance(value, (bytes, bytearray, memoryview)):
        check_bytes(bytes(value), kind, what)
        path.write_bytes(bytes(value))
        return
    if kind == "json":
        _write_text(path, json_text(value, what), what)
    elif isinstance(value, str):
        if kind not in ("csv", "file"):
            raise GoldfishError("%s: there is no file %s." % (what, shown(value)))
        check_bytes(value[:1].encode("utf-8", "replace"), kind, what)
        _write_text(path, value, what)
    elif kind == "csv" and is_table(value):
        with open(path, "w", encoding="utf-8", newline="") as text:
            save_csv(text, value, what)
    elif kind in ("npy", "npz", "parquet"):
        save = {"npy": save_npy, "npz": save_npz, "parquet": save_parquet}[kind]
        with open(path, "wb") as handle:
            save(handle, value, what)
    else:
        raise GoldfishError("%s cannot hold %s; %s." % (what, _described(value), _advice(kind)))


def _write_text(path: Path, text: str, what: str) -> None:
    try:
        path.write_bytes(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise GoldfishError(
            "%s: the text is not valid Unicode at character %d." % (what, error.start)
        ) from None


def _described(value: Any) -> str:
    return "an array" if is_array(value) else shown(type(value).__name__)


def _advice(kind: str) -> str:
    if kind == "csv":
        return "give a DataFrame, a list of dicts, a list of rows whose first is the header, text, or a path"
    return "give bytes, text or a path, or declare the output as json, npy or csv"
