"""Table files: csv always, parquet through pandas."""

from __future__ import annotations

import csv
import math
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterable, List, Mapping, Sequence, TextIO

from . import optional
from .errors import GoldfishError, shown

# Canonical whole numbers only, so that "007" stays the text it is.
WHOLE = re.compile(r"(0|-?[1-9][0-9]{0,300})\Z")
DECIMAL = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|nan)\Z", re.IGNORECASE)
LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
BOOLEANS = {"True": True, "False": False}


def is_frame(value: Any) -> bool:
    """True for a pandas DataFrame, without importing pandas."""
    return hasattr(value, "to_csv") and hasattr(value, "columns")


def is_table(value: Any) -> bool:
    """True for what `save_csv` takes: a DataFrame, a list of dicts or of rows."""
    if is_frame(value):
        return True
    return isinstance(value, (list, tuple)) and all(isinstance(row, (Mapping, list, tuple)) for row in value)


def save_csv(handle: TextIO, value: Any, what: str) -> None:
    """Writes UTF-8 text, commas, `\\n`; floats as repr, None as an empty cell, text quoted only where needed.

    Dicts give a header: all keys in the order they first appear. Rows are written as they are, so the first
    one is the header. A DataFrame's index is written only where it has a name; one of texts without a name is
    refused, for its labels would be lost.
    """
    if is_frame(value):
        _save_frame(handle, value, what)
        return
    rows = value
    writer = csv.writer(_LineEnds(handle), lineterminator="\r\n")
    if all(isinstance(row, Mapping) for row in rows):
        columns = list(dict.fromkeys(key for row in rows for key in row))
        # Without any column an empty line: a file without a byte would be taken for one that was never written.
        writer.writerow([_cell(column, what, 0, "header") for column in columns])
        rows = [[row.get(column) for column in columns] for row in rows]
    else:
        columns = []
        if any(isinstance(row, Mapping) for row in rows):
            raise GoldfishError("%s: some rows are dicts and some are lists." % what)
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise GoldfishError(
                "%s: row %d has %d cells, the first has %d." % (what, number + 1, len(row), len(rows[0]))
            )
        writer.writerow(
            [_cell(item, what, number, columns[at] if columns else at) for at, item in enumerate(row)]
        )


def _save_frame(handle: TextIO, frame: Any, what: str) -> None:
    named = any(name is not None for name in frame.index.names)
    if not named and getattr(frame.index, "inferred_type", "integer") not in ("integer", "empty"):
        raise GoldfishError(
            "%s: the index has labels (%s) and no name, so they would be lost: name it (frame.index.name = ...) "
            "or drop it (frame.reset_index(drop=True))." % (what, shown(frame.index[0], 40))
        )
    try:
        frame.to_csv(_LineEnds(handle), index=named, lineterminator="\r\n")
    except TypeError:  # pandas before 1.5 has another word for it
        frame.to_csv(_LineEnds(handle), index=named, line_terminator="\r\n")


class _LineEnds:
    """Between a csv writer and its file: rows end in `\\n` there, while the writer, which takes its own line ends for
    the only ones, quotes `\\r` as well (it does so by itself from Python 3.13 on only)."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle

    def write(self, row: str) -> int:
        return self._handle.write(row[:-2] + "\n" if row.endswith("\r\n") else row)


def load_csv(path: Path, what: str, plain: bool) -> Any:
    """A DataFrame where pandas is there and `plain` is not asked for, else a list of dicts.

    In the list a column is int, float or bool where each of its cells is; an empty cell is None.
    """
    pandas = None if plain else optional.pandas()
    if pandas is not None:
        return _frame(pandas, path, what)
    csv.field_size_limit(sys.maxsize)
    with open(path, newline="", encoding="utf-8-sig") as handle:
        try:
            return _typed_rows(csv.reader(handle, strict=True), what)
        except (csv.Error, UnicodeDecodeError) as error:
            raise GoldfishError("%s: not a readable csv file: %s" % (what, error)) from None


def save_parquet(handle: BinaryIO, value: Any, what: str) -> None:
    """Writes a DataFrame, or a list of dicts made into one. Needs pandas and pyarrow."""
    pandas = _pandas_for_parquet(what)
    frame = value if is_frame(value) else pandas.DataFrame(list(value))
    _or_explain(what, lambda: frame.to_parquet(handle))


def load_parquet(path: Path, what: str, plain: bool) -> Any:
    """A DataFrame, or with `plain` a list of dicts. Needs pandas and pyarrow."""
    pandas = _pandas_for_parquet(what)
    frame = _or_explain(what, lambda: pandas.read_parquet(path))
    return frame.to_dict("records") if plain else frame


def _frame(pandas: Any, path: Path, what: str) -> Any:
    try:
        return pandas.read_csv(path)
    except pandas.errors.EmptyDataError:
        return pandas.DataFrame()
    except ValueError as error:
        raise GoldfishError("%s: not a readable csv file: %s" % (what, str(error).splitlines()[0])) from None


def _pandas_for_parquet(what: str) -> Any:
    pandas = optional.pandas()
    if pandas is None:
        raise GoldfishError(
            "%s: parquet needs the packages pandas and pyarrow; add them to requirements.txt." % what
        )
    return pandas


def _or_explain(what: str, act: Any) -> Any:
    try:
        return act()
    except ImportError:
        raise GoldfishError(
            "%s: parquet needs the package pyarrow; add it to requirements.txt." % what
        ) from None


def _cell(value: Any, what: str, row: int, column: Any) -> Any:
    if hasattr(value, "item") and not isinstance(value, (int, float)):
        value = value.item()
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, (Mapping, list, tuple, set, frozenset, bytes, bytearray)):
        raise GoldfishError(
            "%s: a csv cell cannot hold %s (row %d, column %s)."
            % (what, shown(value, 40), row + 1, shown(column, 40))
        )
    return value


def _typed_rows(reader: Iterable[Sequence[str]], what: str) -> List[Dict[str, Any]]:
    rows = [row for row in reader if row]
    if not rows:
        return []
    header, body = rows[0], rows[1:]
    twice = next((name for name in header if list(header).count(name) > 1), None)
    if twice is not None:
        raise GoldfishError(
            "%s: the column %s is there twice; read the file at input_path." % (what, shown(twice))
        )
    for number, row in enumerate(body):
        if len(row) != len(header):
            raise GoldfishError(
                "%s: row %d has %d cells, the header has %d." % (what, number + 1, len(row), len(header))
            )
    columns = [_typed_column([row[at] for row in body]) for at in range(len(header))]
    return [dict(zip(header, cells)) for cells in zip(*columns)]


def _typed_column(cells: List[str]) -> List[Any]:
    filled = [cell for cell in cells if cell != ""]
    read: Callable[[str], Any] = str
    if filled and all(cell in BOOLEANS for cell in filled):
        read = BOOLEANS.__getitem__
    elif filled and all(WHOLE.match(cell) for cell in filled):
        read = int
    elif filled and all(_is_decimal(cell) for cell in filled):
        read = float
    return [None if cell == "" else read(cell) for cell in cells]


def _is_decimal(cell: str) -> bool:
    """A number that a float can hold; one with leading zeros is a label, one beyond 1e308 is kept as text."""
    if not DECIMAL.match(cell) or LEADING_ZERO.match(cell):
        return False
    return not math.isinf(float(cell)) or "inf" in cell.lower()
