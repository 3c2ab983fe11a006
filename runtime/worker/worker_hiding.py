"""What a stage tells of itself, without its secrets. What a secret looks like, the run wrapper's Redactor alone knows."""

import json
import re

from wrapper_log import Redactor

# A text, a key that has a meaning for the reader (src/runs/metric-line.ts), or a number.
TOKEN = re.compile(
    rb'''(?P<key>"(?:name|value|step|time|progress|message)")(?=\s*:)|"(?:[^"\\]|\\.)*"|(?P<number>-?\d[\d.eE+-]*)'''
)


def words_of(request):
    """Those that the run wrapper is told to hide."""
    return json.loads(request)["hidden"]


class LineRedactor(Redactor):
    """For lines of JSON. A short value, a year or a seed, is a secret too where the config took it from the environment: in a
    number, or as one of the words of the format, it gives nothing away, and without them the line would be none.
    """

    def apply(self, data, spared=()):
        if super().apply(data) == data:
            return data
        return b"\n".join(map(self._line, data.split(b"\n")))

    def _line(self, line):
        return super().apply(line, tuple(spared_of(line)) if is_told(line) else ())


def is_told(line):
    try:
        return isinstance(json.loads(line.decode()), dict)
    except (ValueError, RecursionError):
        return False


def spared_of(line):
    for token in TOKEN.finditer(line):
        if token.lastgroup is not None:
            yield token.span()
