"""Turning Python values into JSON that means the same everywhere, or saying exactly what cannot be."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any, Dict, Iterator, Tuple

from .errors import GoldfishError, shown


def json_text(value: Any, what: str) -> str:
    """JSON text with two spaces of indent, keys in the order given, floats as repr, a newline at the end.

    The same value gives the same bytes on every machine. Raises GoldfishError naming the place
    (`$.loss[3]`) of NaN, an infinity, a set, an object.
    """
    with _not_too_deep(what):
        plain = plain_json(value, what, strict=False)
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def state_text(value: Any, what: str) -> str:
    """JSON text that gives exactly this value back, or a GoldfishError naming the place of what would not.

    NaN and infinities are in Python's own spelling: best_loss = inf is a fair state to be in.
    """
    with _not_too_deep(what):
        return json.dumps(plain_json(value, what, strict=True), ensure_ascii=True) + "\n"


@contextlib.contextmanager
def _not_too_deep(what: str) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise GoldfishError("%s: the value is nested too deeply." % what) from None


def plain_json(value: Any, what: str, strict: bool, place: str = "$", seen: Tuple[int, ...] = ()) -> Any:
    """The value in JSON's own types.

    Tuples become lists; numpy scalars become numbers. With `strict` nothing may come back as something else
    (no arrays, no keys but text), and NaN and infinities pass: a state that is saved to be continued.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not strict and not math.isfinite(value):
            raise GoldfishError("%s: %s is %r, which JSON does not have." % (what, place, float(value)))
        return float(value)
    if id(value) in seen:
        raise GoldfishError("%s: %s contains itself." % (what, place))
    seen = seen + (id(value),)
    if isinstance(value, dict):
        return _plain_object(value, what, strict, place, seen)
    if isinstance(value, (list, tuple)):
        return [
            plain_json(item, what, strict, "%s[%d]" % (place, index), seen)
            for index, item in enumerate(value)
        ]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, array.array, torch tensors
        listed = value.tolist()
        if strict and isinstance(listed, list):
            raise GoldfishError(
                "%s: %s is an array inside other data: save %s.tolist(), a dict of arrays alone, or a file."
                % (what, place, place.lstrip("$.") or "value")
            )
        return plain_json(listed, what, strict, place, seen)
    raise GoldfishError(
        "%s: %s is a %s, which JSON does not have%s."
        % (
            what,
            place,
            type(value).__name__,
            "; sort it into a list" if isinstance(value, (set, frozenset)) else "",
        )
    )


def _plain_object(
    value: Dict[Any, Any], what: str, strict: bool, place: str, seen: Tuple[int, ...]
) -> Dict[str, Any]:
    result = {}
    for key, item in value.items():
        if hasattr(key, "item") and not isinstance(key, (str, int, float)):
            key = key.item()
        if not isinstance(key, str) and (
            strict or isinstance(key, bool) or not isinstance(key, (int, float))
        ):
            raise GoldfishError("%s: a key of %s is %s; keys must be text." % (what, place, shown(key)))
        name = key if isinstance(key, str) else repr(key)
        if name in result:
            raise GoldfishError("%s: %s has the key %s twice." % (what, place, shown(name)))
        result[name] = plain_json(item, what, strict, "%s.%s" % (place, name), seen)
    return result


def as_finite(value: Any, what: str) -> float:
    """A number as `as_number` gives it, and no NaN or infinity."""
    number = as_number(value, what)
    if not math.isfinite(number):
        raise GoldfishError("%s must be a finite number, not %r." % (what, number))
    return number


def as_number(value: Any, what: str) -> float:
    """An int or a float, also out of numpy, Decimal or a one-element tensor. Raises GoldfishError otherwise."""
    if hasattr(value, "item") and not isinstance(value, (bool, int, float)):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):
            raise GoldfishError("%s must be one number, not an array of several." % what) from None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        # Readers in other languages have 53 bits; beyond them the nearest double is what they would see.
        if abs(value) <= 2**53:
            return int(value)
    if isinstance(value, (str, bytes)) or value is None:
        raise GoldfishError("%s must be a number, not %s." % (what, shown(value)))
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise GoldfishError("%s must be a number, not %s." % (what, shown(value))) from None
