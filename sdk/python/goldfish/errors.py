"""The one error type of the library, and the words for naming what was probably meant."""

from __future__ import annotations

import contextlib
import difflib
from typing import Iterable, Iterator


class GoldfishError(Exception):
    """Something a stage's author can fix. The message is one line: what, why, what to do."""


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes a GoldfishError of one line: `what`, then what was said.

    For readers of files that may be damaged in any way, and for conversions by other libraries, whose errors are of
    many types. Memory that runs out stays what it is.
    """
    try:
        yield
    except (GoldfishError, MemoryError):
        raise
    except OSError as error:
        raise GoldfishError("%s: %s" % (what, error.strerror or first_line(error))) from None
    except Exception as error:
        raise GoldfishError("%s: %s" % (what, first_line(error))) from None


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


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
