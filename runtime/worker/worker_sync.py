"""What is sent while a program runs: its log and metrics piece by piece, its signs of life, its checkpoints.

Folders that a stage may write to can hold anything: no link in them is followed, and nothing there is read without bound.
"""

import json
import os
import re

from bootstrap import Unusable, inner, say
from worker_bucket import Conflict
from worker_files import open_below, read_below, sums
from worker_http import Away, Refused
from worker_places import ATTEMPT, CHECKPOINTS

PIECE_BYTES = 4 * 1024 * 1024
METRICS_BYTES = 512 * 1024 * 1024
DOCUMENT_BYTES = 64 * 1024
MANIFEST_BYTES = 16 * 1024 * 1024
SEGMENT = re.compile(r"\d{12,}\.log\Z")
CHECKPOINT = re.compile(r"\d{8,}-[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}\Z")
DOCUMENTS = ("heartbeat", "progress.json")


class Sync:
    def __init__(self, job, bucket):
        self._job, self._bucket = job, bucket
        self._tails, self._documents = {}, {}
        # Those that came with the job need not be sent back.
        self._checkpoints = {item["path"].split("/")[0] for item in job["checkpoints"]}
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
        for name in sorted(names_in(CHECKPOINTS)):
            if CHECKPOINT.match(name) and name not in self._checkpoints:
                yield lambda check, name=name: self._checkpoint(name, check)

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

    def _checkpoint(self, name, check):
        """Its manifest last: what has one in the bucket is whole there."""
        folder = os.path.join(CHECKPOINTS, name)
        key = "%scheckpoints/%s/" % (self._job.prefix, name)
        try:
            manifest = read_below(folder, "manifest.json", MANIFEST_BYTES + 1)
            files = [(inner(item["path"]), item["sha256"]) for item in json.loads(manifest.decode())["files"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, Unusable):
            files = None
        if files is None or len(manifest) > MANIFEST_BYTES:
            say("the checkpoint %s has no manifest of use" % name)
            self._checkpoints.add(name)
            return
        for path, digest in files:
            try:
                file = os.fdopen(open_below(folder, path), "rb")
            except OSError:
                # The stage removes it just now, or it was never whole: without a manifest it is none in the bucket either.
                self._checkpoints.add(name)
                return
            with file:
                if sums(file, check)[1] != digest:
                    say("the checkpoint %s is damaged" % name)
                    self._checkpoints.add(name)
                    return
                self._bucket.put_file(key + path, file, check)
        self._bucket.put(key + "manifest.json", manifest, "0", check)
        self._checkpoints.add(name)


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


def names_in(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []
