"""Checkpoints of a job: each is sent as soon as it is whole, and then the stage that waits for it is told.

The folder belongs to the stage and can hold anything: no link in it is followed, and nothing there is read without bound.
"""

import json
import os
import re
import time

from bootstrap import Unusable, inner, say
from worker_bucket import Conflict
from worker_files import names_in, open_below, read_below, sums
from worker_http import Away, Refused
from worker_places import CHECKPOINTS

# How often it is looked for a new one.
KEEP_SECONDS = 0.25
# After one that did not get through.
AGAIN_SECONDS = 5.0
MANIFEST_BYTES = 16 * 1024 * 1024
CHECKPOINT = re.compile(r"\d{8,}-[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}\Z")
# The same stands in the libraries that stages import.
KEPT = ".kept-"


class Unfit(Exception):
    """It is none, or not yet: the text says why."""


class Checkpoints:
    def __init__(self, job, bucket):
        self._bucket, self._prefix = bucket, job.prefix + "checkpoints/"
        # Those that came with the job need not be sent back.
        self._sent = {item["path"].split("/")[0] for item in job["checkpoints"]}
        # Those that were sent from here: the keys of their objects, in the order in which they are to go.
        self._made = {}
        # Those that are none, as they were then.
        self._unfit = {}
        self._again_at = 0.0
        # Of the last time: whether everything got through, and whether anything was refused for good.
        self.complete = self.refused = False

    def once(self, check, last=False):
        """Sends what is new. `last`: also what was unfit before. Raises what check() raises; else what failed is told, and
        tried again after a while.
        """
        if not last and time.monotonic() < self._again_at:
            return
        self.complete, self.refused = True, False
        for name in sorted(names_in(CHECKPOINTS)):
            if CHECKPOINT.match(name) and name not in self._sent:
                check()
                self._try(name, check, last)
        self._drop_removed(check)

    def _drop_removed(self, check):
        """What the stage has removed in favour of a newer one goes from the bucket, too. The newest stays whatever it does."""
        there = set(names_in(CHECKPOINTS)) & set(self._made)
        for name in sorted(set(self._made) - there):
            if any(other > name for other in there):
                check()
                try:
                    for key in self._made[name]:
                        self._bucket.delete(key, check)
                    del self._made[name]
                except (Away, Refused) as error:
                    self._again_at = time.monotonic() + AGAIN_SECONDS
                    say("the checkpoint %s could not be taken from the bucket: %s" % (name, error))

    def _try(self, name, check, last):
        seen = look_of(name)
        if not last and self._unfit.get(name) == seen:
            return
        try:
            self._send(name, check)
            # kill point: job/checkpoint-sent
            acknowledge(name)
            # kill point: job/checkpoint-kept
            self._sent.add(name)
        except Unfit as unfit:
            self._unfit[name] = seen
            say("the checkpoint %s %s" % (name, unfit))
        except (Away, Refused, Conflict, OSError) as error:
            self.complete, self.refused = False, self.refused or not isinstance(error, Away)
            self._again_at = time.monotonic() + AGAIN_SECONDS
            say("the checkpoint %s could not be sent: %s" % (name, error))

    def _send(self, name, check):
        """Its manifest last: what has one in the bucket is whole there. Raises Unfit."""
        folder, key = os.path.join(CHECKPOINTS, name), self._prefix + name + "/"
        manifest, files = read_manifest(folder)
        for path, digest in files:
            try:
                file = os.fdopen(open_below(folder, path), "rb")
            except OSError:
                # The stage removes it just now, or it was never whole: without a manifest it is none in the bucket either.
                raise Unfit("lacks %r" % path[:200]) from None
            with file:
                if sums(file, check)[1] != digest:
                    raise Unfit("is damaged")
                self._bucket.put_file(key + path, file, check)
        self._bucket.put(key + "manifest.json", manifest, "0", check)
        self._made[name] = [key + path for path in ["manifest.json"] + [path for path, _digest in files]]


def read_manifest(folder):
    """(its bytes, (path, SHA-256) of each file). Raises Unfit."""
    try:
        manifest = read_below(folder, "manifest.json", MANIFEST_BYTES + 1)
        files = [(inner(item["path"]), item["sha256"]) for item in json.loads(manifest.decode())["files"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, Unusable):
        raise Unfit("has no manifest of use") from None
    if len(manifest) > MANIFEST_BYTES:
        raise Unfit("has a manifest that is too large")
    return manifest, files


def look_of(name):
    """Another one where something was added to the checkpoint, or its manifest was written anew."""
    folder = os.path.join(CHECKPOINTS, name)
    try:
        above = os.lstat(folder).st_mtime_ns
    except OSError:
        return None
    try:
        stat = os.lstat(os.path.join(folder, "manifest.json"))
    except OSError:
        return above, None
    return above, (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def acknowledge(name):
    """An empty file beside it, for the stage to see. One that is there, whoever made it, is as good."""
    folder = os.open(CHECKPOINTS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.close(os.open(KEPT + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder))
    except FileExistsError:
        pass
    finally:
        os.close(folder)
