"""The one error type of the library, and the words for naming what was probably meant."""

from __future__ import annotations

import difflib
from typing import Iterable


class GoldfishError(Exception):
    """Something a stage's author can fix. The message is one line: what, why, what to do."""


def known_names(name: str, known: Iterable[str]) -> str:
    """The end of an "unknown name" message: the nearest name first, then all of them."""
    names = sorted(known)
    if not names:
        return "there are none"
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    meant = 'did you mean "%s"? ' % nearest[0] if nearest else ""
    return "%sKnown: %s" % (meant, ", ".join(names))


def shown(value: object, limit: int = 80) -> str:
    """A value as it may stand in a one-line message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[:limit] + "…"
