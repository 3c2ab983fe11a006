"""Log capture: what a program prints becomes redacted records in segments of one log.

A record is `2026-11-21T22:00:00.123Z o  text`: 24 characters of time, a space, the stream (o, e, b), a flag (a space,
or + where the program's line goes on in the stream's next record), a space, the text, a newline. Segments are named by
their first byte offset. src/backends/log-segments.ts reads the same format; a test keeps the two together.
"""

import collections
import errno
import os
import re
import time

SEGMENT_BYTES = 16 * 1024 * 1024
# Of a flood the first segment and the newest seven are kept.
KEPT_SEGMENTS = 8
# A program's line longer than this is cut into several records.
LINE_BYTES = 16 * 1024
HIDDEN = b"***"


class Redactor:
    """Replaces what must not be read: the words the caller made of the secrets (src/core/redact.ts), longest first."""

    def __init__(self, words):
        usable = [word.encode("utf-8", "surrogatepass") for word in words]
        self.longest = max(map(len, usable), default=0)
        self._pattern = re.compile(b"|".join(map(re.escape, usable))) if usable else None

    def apply(self, data, spared=()):
        """`spared`: places (start, end), in their order, in which nothing is replaced."""
        if not self._pattern or not spared:
            return self._pattern.sub(HIDDEN, data) if self._pattern else data

        places = collections.deque(spared)

        def instead(found):
            while places and places[0][1] < found.end():
                places.popleft()
            return found.group() if places and places[0][0] <= found.start() else HIDDEN

        return self._pattern.sub(instead, data)

    def safe_cut(self, data, cut):
        """The position nearest to cut that splits no secret; data reaches `longest` bytes beyond cut."""
        for match in self._pattern.finditer(data) if self._pattern else ():
            if match.start() < cut < match.end():
                return match.start() or match.end()
        return cut


class LogWriter:
    """Appends whole records. After the first failure it writes no more and says why in `error` and `errno`."""

    def __init__(self, folder):
        self.error = self.errno = None
        self._folder = folder
        self._descriptor = None
        os.makedirs(folder, mode=0o700, exist_ok=True)
        names = sorted(name for name in os.listdir(folder) if re.match(r"^\d{12,}\.log$", name))
        self._segments = names
        self._start = int(names[-1][:-4]) if names else 0
        self._size = 0
        self._open()
        # Build lines may be there already; a record torn by a crash is dropped, no reader has been given it.
        self._size = _whole_records(self._descriptor)
        os.ftruncate(self._descriptor, self._size)

    @property
    def offset(self):
        return self._start + self._size

    def write(self, records):
        if self.error is not None or not records:
            return
        try:
            if self._size > 0 and self._size + len(records) > SEGMENT_BYTES:
                self._rotate()
            self._append(records)
        except OSError as error:
            self._fail(error)

    def _fail(self, error):
        self.error = error.strerror or "the disk refused"
        self.errno = errno.errorcode.get(error.errno)

    def _append(self, records):
        view = memoryview(records)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # Keep what is whole: a reader must never meet half a record.
            written = len(records) - len(view)
            whole = records.rfind(b"\n", 0, written) + 1
            self._size += whole
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(records)

    def _rotate(self):
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        self._start += self._size
        self._size = 0
        self._open()
        while len(self._segments) > KEPT_SEGMENTS:
            os.unlink(os.path.join(self._folder, self._segments.pop(1)))

    def _open(self):
        name = "%012d.log" % self._start
        path = os.path.join(self._folder, name)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if name not in self._segments:
            self._segments.append(name)

    def close(self):
        if self._descriptor is None:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if self.error is None:
                self._fail(error)
        os.close(self._descriptor)
        self._descriptor = None


def _whole_records(descriptor):
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - 65536)
        newline = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0 if size else size


class LineStream:
    """One stream of the program: bytes in, records out. Cuts only between characters and never through a secret."""

    def __init__(self, letter, writer, redactor, label=""):
        """`label` begins the text of each record; of a cut line too, whose rest is the next record so labelled."""
        self._letter = letter.encode()
        self._label = label.encode()
        self._writer = writer
        self._redactor = redactor
        self._pending = b""

    def feed(self, data):
        data = self._pending + data if self._pending else data
        end = data.rfind(b"\n") + 1
        if end:
            self._writer.write(self._records(self._redactor.apply(data[:end])))
        self._pending = data[end:]
        while len(self._pending) > LINE_BYTES + self._redactor.longest:
            cut = self._redactor.safe_cut(self._pending, _character_cut(self._pending, LINE_BYTES))
            text = self._redactor.apply(self._pending[:cut])
            self._writer.write(self._prefix(b"+") + text + b"\n")
            self._pending = self._pending[cut:]

    def close(self):
        """A last line without a newline is closed here."""
        if self._pending:
            text = self._redactor.apply(self._pending)
            self._pending = b""
            self._writer.write(self._records(text + b"\n"))

    def _records(self, lines):
        """`lines` is whole lines, redacted. One replace for all of them: this is what makes a flood cheap."""
        prefix = self._prefix(b" ")
        if len(lines) <= LINE_BYTES or max(map(len, lines.split(b"\n"))) <= LINE_BYTES:
            return prefix + lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n"
        records = []
        for line in lines[:-1].split(b"\n"):
            while len(line) > LINE_BYTES:
                cut = _character_cut(line, LINE_BYTES)
                records.append(self._prefix(b"+") + line[:cut])
                line = line[cut:]
            records.append(prefix + line)
        return b"\n".join(records) + b"\n"

    def _prefix(self, flag):
        return iso_time().encode() + b" " + self._letter + flag + b" " + self._label


def _character_cut(data, cut):
    """cut, or up to three bytes before it, so that no UTF-8 character is split."""
    for back in range(4):
        if cut - back < len(data) and data[cut - back] & 0xC0 != 0x80:
            return cut - back
    return cut


def iso_time(seconds=None):
    """ISO 8601 UTC with milliseconds."""
    milliseconds = int((time.time() if seconds is None else seconds) * 1000)
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000)), milliseconds % 1000)
