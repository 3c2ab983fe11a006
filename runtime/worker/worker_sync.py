"""What is sent while a program runs: its log and metrics piece by piece, its signs of life.

Folders that a stage may write to can hold anything: no link in them is followed, and nothing there is read without bound.
"""

import os
import re

from bootstrap import say
from worker_bucket import Conflict
from worker_files import names_in, open_below
from worker_http import Away, Refused
from worker_places import ATTEMPT

PIECE_BYTES = 4 * 1024 * 1024
METRICS_BYTES = 512 * 1024 * 1024
DOCUMENT_BYTES = 64 * 1024
SEGMENT = re.compile(r"\d{12,}\.log\Z")
DOCUMENTS = ("heartbeat", "progress.json")


class Sync:
    def __init__(self, job, bucket):
        self._job, self._bucket = job, bucket
        self._tails, self._documents = {}, {}
        # Of the last time: whether everything got through, and whether anything was refused for good.
        self.complete = self.refused = False

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
            for name in DOCUMENTS:
                yield lambda check, at=(key + name, folder, name): self._document(at, check)
            yield self._tail(key + "metrics.jsonl", folder, "metrics.jsonl", last, METRICS_BYTES)
        yield lambda check: self._document(("wrapper.json", ATTEMPT, "wrapper.json"), check)
        for name in sorted(names_in(log)):
            if SEGMENT.match(name):
                yield self._tail("log/" + name, log, name, last, None)

    def _tail(self, key, folder, name, last, limit):
        tail = self._tails.setdefault(key, Tail(self._bucket, self._job.prefix + key, limit))
        return lambda check: tail.send(folder, name, last, check)

    def _document(self, at, check):
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
            data = file.read(DOCUMENT_BYTES)
        self._bucket.put(self._job.prefix + key, data, check=check)
        self._documents[key] = seen


class Tail:
    """A file that only grows, as objects named by the first byte that each holds."""

    def __init__(self, bucket, key, limit):
        self._bucket, self._key, self._limit = bucket, key, limit
        self._offset = 0

    def send(self, folder, name, last, check):
        try:
            descriptor = open_below(folder, name)
        except OSError:
            return
        try:
            while True:
                check()
                length = PIECE_BYTES if self._limit is None else min(PIECE_BYTES, self._limit - self._offset)
                data = os.pread(descriptor, length, self._offset) if length > 0 else b""
                if not last and len(data) < PIECE_BYTES:
                    # The rest of a line is still to come, or may be taken back.
                    data = data[: data.rfind(b"\n") + 1]
                if not data:
                    return
                self._offset += self._bucket.put_piece("%s/%012d" % (self._key, self._offset), data, check)
        finally:
            os.close(descriptor)
