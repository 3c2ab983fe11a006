"""Array files: npy and npz, through numpy where the stage has it, else as nested lists."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Dict, Mapping

from . import optional
from .errors import GoldfishError, explained, shown
from .npy import read_npy, write_npy

# What a zip member's date must be so that equal arrays give equal bytes: the format's first possible moment.
EPOCH = (1980, 1, 1, 0, 0, 0)


def is_array(value: Any) -> bool:
    """True for numpy arrays and what offers itself as one (tensors, DataFrame columns)."""
    return hasattr(value, "__array__")


def save_npy(handle: BinaryIO, value: Any, what: str) -> None:
    """Writes an array (dtype and shape kept, C order) or nested lists. Refuses object arrays: they need pickle."""
    numpy = optional.numpy() if is_array(value) else None
    if numpy is None:
        write_npy(handle, value, what)
        return
    if isinstance(value, numpy.ma.MaskedArray):
        raise GoldfishError("%s: a masked array would lose its mask; save array.filled(...) instead." % what)
    with explained("%s: cannot be made an array of numpy" % what):  # a tensor on a GPU, or one with a gradient
        array = numpy.asarray(value, order="C")
    if array.dtype.hasobject:
        raise GoldfishError(
            "%s: an array of Python objects would need pickle; give it a number or text dtype." % what
        )
    numpy.lib.format.write_array(handle, array, allow_pickle=False)


def save_npz(handle: BinaryIO, value: Any, what: str) -> None:
    """Writes a dict of arrays or nested lists as an uncompressed npz: equal values give equal bytes."""
    if not isinstance(value, Mapping):
        raise GoldfishError(
            "%s: npz takes a dict of arrays by name, not %s." % (what, shown(type(value).__name__))
        )
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
        for name, array in value.items():
            if not isinstance(name, str) or not name or "/" in name or "\\" in name or "\0" in name:
                raise GoldfishError("%s: %s is no name for an array." % (what, shown(name)))
            buffer = io.BytesIO()
            save_npy(buffer, array, "%s: %s" % (what, name))
            archive.writestr(zipfile.ZipInfo(name + ".npy", EPOCH), buffer.getvalue())


def load_npy(path: Path, what: str, plain: bool) -> Any:
    """An array where numpy is there and `plain` is not asked for, else nested lists."""
    numpy = None if plain else optional.numpy()
    with open(path, "rb") as handle:
        if numpy is None:
            return read_npy(handle, what)
        with explained(what):
            return numpy.lib.format.read_array(handle, allow_pickle=False)


def load_npz(path: Path, what: str, plain: bool) -> Dict[str, Any]:
    """A dict of arrays (or nested lists) by name, all read at once."""
    numpy = None if plain else optional.numpy()
    with explained("%s: not a readable npz file" % what), zipfile.ZipFile(path) as archive:
        result = {}
        for member in archive.namelist():
            if not member.endswith(".npy"):
                continue
            name = member[: -len(".npy")]
            with archive.open(member) as handle:
                result[name] = (
                    read_npy(handle, "%s: %s" % (what, name))
                    if numpy is None
                    else numpy.lib.format.read_array(handle, allow_pickle=False)
                )
        return result
