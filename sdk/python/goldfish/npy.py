"""The npy format (numpy.lib.format, versions 1 to 3) in plain Python, for stages without numpy.

An array is a nested list here: one list per axis, numbers, booleans or text inside; without axes the bare value.
"""

from __future__ import annotations

import ast
import struct
import sys
from array import array
from typing import IO, Any, List, Sequence, Tuple

from .errors import GoldfishError, shown

MAGIC = b"\x93NUMPY"
# numpy pads its header to 64 bytes and leaves room for the first axis to grow to 21 digits; so do we, so that
# a list gives the same bytes as numpy.save of the same array.
ALIGNMENT = 64
GROWTH_DIGITS = 21
BLOCK = 1 << 24
# npy type code -> struct code of one item.
ITEM_CODES = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


def write_npy(handle: IO[bytes], value: Any, what: str) -> None:
    """Writes nested lists as bool, int64 (uint64 where needed), float64, complex128 or text.

    Raises GoldfishError for ragged rows, None, and text mixed with numbers.
    """
    shape, flat = _flatten(value, what)
    kind, payload = _encode(flat, what)
    text = "{'descr': %r, 'fortran_order': False, 'shape': %r, }" % (kind, shape)
    if shape:
        text += " " * (GROWTH_DIGITS - len(repr(shape[0])))
    header = text.encode("latin1")
    # magic, two bytes of version, two bytes of length; the newline ends the header.
    padding = ALIGNMENT - (len(MAGIC) + 4 + len(header) + 1) % ALIGNMENT
    header += b" " * padding + b"\n"
    handle.write(MAGIC + b"\x01\x00" + struct.pack("<H", len(header)) + header + payload)


def read_npy(handle: IO[bytes], what: str) -> Any:
    """Reads an npy file into nested lists. Raises GoldfishError where it is damaged or its type needs numpy."""
    kind, fortran, shape = _read_header(handle, what)
    count = 1
    for length in shape:
        count *= length
    flat = _decode(handle, kind, count, what)
    if not fortran or len(shape) < 2:
        return _nest(flat, shape)
    return _transposed(_nest(flat, shape[::-1]), shape)


def _flatten(value: Any, what: str) -> Tuple[Tuple[int, ...], List[Any]]:
    level, shape = [_listed(value)], []  # type: Tuple[List[Any], List[int]]
    while level and isinstance(level[0], list):
        length = len(level[0])
        for index, row in enumerate(level):
            if not isinstance(row, list) or len(row) != length:
                raise GoldfishError(
                    "%s: rows differ in length along axis %d: row %d does not have %d items like the first."
                    % (what, len(shape), index, length)
                )
        shape.append(length)
        level = [_listed(item) for row in level for item in row]
    if any(isinstance(item, list) for item in level):
        raise GoldfishError("%s: some items of axis %d are lists and some are not." % (what, len(shape)))
    return tuple(shape), level


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):  # array.array, numpy values and tensors inside lists
        return value.tolist()
    return list(value) if isinstance(value, (tuple, range)) else value


def _encode(flat: Sequence[Any], what: str) -> Tuple[str, bytes]:
    kinds = {bool if isinstance(item, bool) else _base(item, what) for item in flat}
    if kinds == {str}:
        width = max(1, max(len(item) for item in flat))
        try:
            return "<U%d" % width, b"".join(item.ljust(width, "\0").encode("utf-32-le") for item in flat)
        except UnicodeEncodeError:
            raise GoldfishError("%s: one of the texts is not valid Unicode." % what) from None
    if str in kinds:
        raise GoldfishError("%s: text and numbers cannot be mixed in one array." % what)
    if kinds == {bool}:
        return "|b1", bytes(flat)
    if complex in kinds:
        return "<c16", _packed(
            "d", [part for item in flat for part in (complex(item).real, complex(item).imag)]
        )
    if float in kinds or not kinds:
        return "<f8", _packed("d", [float(item) for item in flat])
    low, high = min(flat), max(flat)
    if low >= -(2**63) and high < 2**63:
        return "<i8", _packed("q", flat)
    if low >= 0 and high < 2**64:
        return "<u8", _packed("Q", flat)
    raise GoldfishError("%s: whole numbers from %d to %d do not fit into 64 bits." % (what, low, high))


def _base(item: Any, what: str) -> type:
    for base in (int, float, complex, str):
        if isinstance(item, base):
            return base
    advice = "; use float('nan') for a missing number" if item is None else ""
    raise GoldfishError("%s: an array cannot hold %s%s." % (what, shown(item), advice))


def _packed(code: str, flat: Sequence[Any]) -> bytes:
    items = array(code, flat)
    if sys.byteorder == "big":
        items.byteswap()
    return items.tobytes()


def _read_header(handle: IO[bytes], what: str) -> Tuple[str, bool, Tuple[int, ...]]:
    start = handle.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in (1, 2, 3):
        raise GoldfishError("%s: not an npy file." % what)
    width, code = (2, "<H") if start[6] == 1 else (4, "<I")
    try:
        (length,) = struct.unpack(code, handle.read(width))
        text = handle.read(length).decode("utf-8" if start[6] == 3 else "latin1")
        header = ast.literal_eval(text.strip())
        kind, fortran, shape = header["descr"], bool(header["fortran_order"]), tuple(header["shape"])
        if not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError("a shape has no such lengths")
    except (struct.error, ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise GoldfishError("%s: the header of the npy file is damaged." % what) from None
    if not isinstance(kind, str):
        raise GoldfishError(
            "%s: structured arrays need numpy; install it or save columns of their own." % what
        )
    if "O" in kind:
        raise GoldfishError(
            "%s: holds Python objects, which would need pickle; Goldfish does not load those." % what
        )
    return kind, fortran, shape


def _decode(handle: IO[bytes], kind: str, count: int, what: str) -> List[Any]:
    order = ">" if kind[:1] == ">" else "<"
    code = kind.lstrip("<>|=")
    if code in ITEM_CODES:
        data = _payload(handle, count * struct.calcsize("<" + ITEM_CODES[code]), what)
        return list(struct.unpack("%s%d%s" % (order, count, ITEM_CODES[code]), data))
    if code in ("c8", "c16"):
        data = _payload(handle, count * int(code[1:]), what)
        parts = struct.unpack("%s%d%s" % (order, 2 * count, "f" if code == "c8" else "d"), data)
        return [complex(parts[index], parts[index + 1]) for index in range(0, 2 * count, 2)]
    if code[:1] in ("U", "S") and code[1:].isdigit():
        width = max(1, int(code[1:])) * (4 if code[0] == "U" else 1)
        data = _payload(handle, width * count, what)
        cells = [data[index * width : (index + 1) * width] for index in range(count)]
        if code[0] == "S":
            return [cell.rstrip(b"\0") for cell in cells]
        codec = "utf-32-be" if order == ">" else "utf-32-le"
        try:
            return [cell.decode(codec).rstrip("\0") for cell in cells]
        except UnicodeDecodeError:
            raise GoldfishError("%s: one of the texts is not valid Unicode." % what) from None
    raise GoldfishError(
        "%s: reading arrays of type %s needs numpy; add it to requirements.txt." % (what, shown(kind))
    )


def _payload(handle: IO[bytes], size: int, what: str) -> bytes:
    # Block by block: a damaged header may ask for more than any memory.
    blocks, got = [], 0
    while got < size:
        block = handle.read(min(size - got, BLOCK))
        if not block:
            raise GoldfishError("%s: the npy file ends early: %d of %d bytes." % (what, got, size))
        blocks.append(block)
        got += len(block)
    return b"".join(blocks)


def _nest(flat: List[Any], shape: Sequence[int]) -> Any:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    inner = len(flat) // shape[0] if shape[0] else 0
    return [_nest(flat[row * inner : (row + 1) * inner], shape[1:]) for row in range(shape[0])]


def _transposed(nested: Any, shape: Sequence[int]) -> Any:
    """`nested` has its axes in the other order; gives the array of `shape`."""

    def pick(index: Tuple[int, ...]) -> Any:
        if len(index) < len(shape):
            return [pick(index + (row,)) for row in range(shape[len(index)])]
        item = nested
        for position in reversed(index):
            item = item[position]
        return item

    return pick(())
