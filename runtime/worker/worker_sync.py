"""What is sent while a program runs: its log and metrics piece by piece, its signs of life.

Folders that a stage may write to can hold anything: no link in them is followed, nothing there is read without bound, and
secrets in what is there are hidden before it is sent. Log and wrapper.json come from the run wrapper: it has hidden them
in the one, and says nothing of the stage's in the other.
"""

import os
import re

from bootstrap import say
from worker_bucket import Conflict
from worker_files import names_in, open_below
from worker_hiding import LineRedactor
from worker_http import Away, Refused
from worker_places import ATTEMPT
from wrapper_log import Redactor

PIECE_BYTES = 4 * 1024 * 1024
METRICS_BYTES = 512 * 1024 * 1024
DOCUMENT_BYTES = 64 * 1024
SEGMENT = re.compile(r"\d{12,}\.log\Z")


class Sync:
    def __init__(self, job, bucket):
        self._job, self._bucket = job, bucket
        self._tails, self._documents = {}, {}
        self._as_it_is = Redactor([])
        self.hide([])
        # Of the last time: whether everything got through, and whether anything was refused for good.
        self.complete = self.refused = False

    def hide(self, words):
        """What is to be hidden from now on. Before the first program runs."""
        self._texts, self._lines = Redactor(words), LineRedactor(words)

    def once(self, check, last=False):
        """Sends what is new. `last`: also what is not a whole line. Raises what check() raises; else what failed is
        told, and tried again the next time.
        """
        self.complete, self.refused = True, False
        for part in self._parts(last):
            check()
            try:
                part(check)
            except (Away, Refused, Conflict, OSError) as error:
                self.complete, self.refused = False, self.refused or not isinstance(error, Away)
                say("not everything of the job could be sent: %s" % error)

    def _parts(self, last):
        log = os.path.join(ATTEMPT, "log")
        for key, folder in self._job.control_folders:
            beat = (key + "heartbeat", folder, "heartbeat")
            yield lambda check, at=beat: self._document(at, self._texts, check)
            made = (self._bucket, self._job.prefix + key + "metrics.jsonl", self._lines, METRICS_BYTES)
            yield self._tail(made, (folder, "metrics.jsonl"), last)
        sign = ("wrapper.json", ATTEMPT, "wrapper.json")
        yield lambda check: self._document(sign, self._as_it_is, check)
        for name in sorted(names_in(log)):
            if SEGMENT.match(name):
                made = (self._bucket, self._job.prefix + "log/" + name, self._as_it_is, None)
                yield self._tail(made, (log, name), last)

    def _tail(self, made, place, last):
        tail = self._tails.setdefault(place, Tail(*made))
        return lambda check: tail.send(place, last, check)

    def _document(self, at, redactor, check):
        """Replaced when it is another one, or was touched."""
        key, folder, name = at
        try:
            descriptor = open_below(folder, name)
        except OSError:
            return
        with os.fdopen(descriptor, "rb") as file:
            stat = os.fstat(descriptor)
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._documents.get(key) == seen:
                return
            data = file.read(DOCUMENT_BYTES + redactor.longest)
        whole = data[: redactor.safe_cut(data, DOCUMENT_BYTES)]
        self._bucket.put(self._job.prefix + key, redactor.apply(whole)[:DOCUMENT_BYTES], check=check)
        self._documents[key] = seen


class Tail:
    """A file that only grows, as objects named by the first byte that each holds of what is sent of it."""

    def __init__(self, bucket, key, redactor, limit):
        self._bucket, self._key, self._redactor, self._limit = bucket, key, redactor, limit
        # How much of the file was read, what of that is to be sent yet, and how much was sent.
        self._read, self._pending, self._sent = 0, b"", 0

    def send(self, place, last, check):
        try:
            descriptor = open_below(*place)
        except OSError:
            return
        try:
            while True:
                check()
                data = self._next(descriptor, last)
                pending = self._pending + self._redactor.apply(data)
                if not pending:
                    return
                size = self._bucket.put_piece("%s/%012d" % (self._key, self._sent), pending, check)
                self._read, self._pending, self._sent = self._read + len(data), pending[size:], self._sent + size
        finally:
            os.close(descriptor)

    def _next(self, descriptor, last):
        """At most a piece, in which no line is cut off that is not longer, and no secret."""
        length = PIECE_BYTES if self._limit is None else min(PIECE_BYTES, self._limit - self._read)
        if length <= 0:
            return b""
        wanted = length + self._redactor.longest
        data = os.pread(descriptor, wanted, self._read)
        whole = data.rfind(b"\n", 0, length) + 1
        if len(data) == wanted:
            return data[: whole or self._redactor.safe_cut(data, length)]
        # The rest of a line is still to come, or may be taken back.
        return data if last else data[:whole]
