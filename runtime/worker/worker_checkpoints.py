"""Checkpoints of a job: each is sent as soon as it is whole, and then the stage that waits for it is told. What the stage
removes in favour of a newer one goes from the bucket too.

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
CHECKPOINT = re.compile(r"(\d{8,})-([a-zA-Z0-9][a-zA-Z0-9._-]{0,63})\Z")
# The same stands in the libraries that stages import.
KEPT = ".kept-"
# Beside those in the bucket: which ones the stage has removed. The same stands in src/backends/gce/pull-checkpoints.ts.
REMOVED = ".removed-"
# A stage that waits for the next one must not wait for what goes.
REMOVALS_AT_ONCE = 32


class Unfit(Exception):
    """It is none, or not yet: the text says why."""


class Checkpoints:
    def __init__(self, job, bucket):
        self._bucket, self._prefix = bucket, job.prefix + "checkpoints/"
        # Those that came with the job need not be sent back.
        self._sent = {item["path"].split("/")[0] for item in job["checkpoints"]}
        # Of those that are sent from here: their files in the bucket; and which have their manifest there.
        self._files, self._whole = {}, set()
        # Those that the stage has removed, and what of them is in the bucket yet.
        self._removed, self._leftovers, self._remove_at = set(), [], 0.0
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
        names = names_in(CHECKPOINTS)
        for name in sorted(names):
            if CHECKPOINT.match(name) and name not in self._sent:
                check()
                self._try(name, check, last)
        if time.monotonic() >= self._remove_at:
            self._follow_removals(set(names), check)

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
                self._files.setdefault(name, set()).add(key + path)
                self._bucket.put_file(key + path, file, check)
        self._bucket.put(key + "manifest.json", manifest, "0", check)
        self._whole.add(name)

    # --- removing -----------------------------------------------------------------------------------------------------

    def _follow_removals(self, present, check):
        """Nobody waits for it, and nothing is lost by one too many: what does not get through keeps nothing up."""
        try:
            for name in sorted((self._sent | set(self._files)) - self._removed - present):
                if CHECKPOINT.match(name) and self._has_newer(name) and is_gone(name):
                    check()
                    self._remove(name)
            for _ in range(min(REMOVALS_AT_ONCE, len(self._leftovers))):
                check()
                self._bucket.remove(self._leftovers[-1], budget=0)
                self._leftovers.pop()
        except (Away, Refused, Conflict, OSError) as error:
            self._remove_at = time.monotonic() + AGAIN_SECONDS
            say("a checkpoint that was removed is in the bucket yet: %s" % error)

    def _has_newer(self, name):
        """One of the same name that is whole in the bucket, and stays."""
        number, label = CHECKPOINT.match(name).groups()
        others = (CHECKPOINT.match(other).groups() for other in self._whole - self._removed)
        return any(other[1] == label and int(other[0]) > int(number) for other in others)

    def _remove(self, name):
        """Whoever has fetched it is told before it is none there any more."""
        self._bucket.put(self._prefix + REMOVED + name, b"", "0", budget=0)
        self._bucket.remove("%s%s/manifest.json" % (self._prefix, name), budget=0)
        self._removed.add(name)
        self._leftovers.extend(self._files.pop(name, ()))


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


def is_gone(name):
    """Not where it merely cannot be looked at."""
    try:
        os.lstat(os.path.join(CHECKPOINTS, name))
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def acknowledge(name):
    """An empty file beside it, for the stage to see. One that is there, whoever made it, is as good."""
    folder = os.open(CHECKPOINTS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.close(os.open(KEPT + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder))
    except FileExistsError:
        pass
    finally:
        os.close(folder)
