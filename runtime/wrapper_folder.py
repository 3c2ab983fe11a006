"""The folder of one attempt: its lock, what the wrapper says of itself, requests to stop, the result document;
and the control folders of its ranks."""

import collections
import errno
import fcntl
import json
import os
import time

import wrapper_linux as linux

STOP_REASONS = ("cancel", "timeout", "heartbeat", "monitor")
# The result document is given its disk space at the start, so that a disk the program fills cannot lose it.
RESULT_BYTES = 8192


# How long a request that should be there is waited for.
REQUEST_SECONDS = 0.3

# reason None: a TERM that nobody of us sent. rank and message: whose fault it is and why, where the one who asked knows.
StopRequest = collections.namedtuple("StopRequest", "reason grace rank message")


class Refused(Exception):
    """This process does not take the job; the text says why."""


class AttemptFolder:
    def __init__(self, path):
        self._path = path
        self._lock = self._result = None

    def path(self, name):
        return os.path.join(self._path, name)

    def lock(self):
        """Held by the kernel for as long as this process lives."""
        self._lock = os.open(self.path("wrapper.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused("already taken") from error

    def spec(self):
        with open(self.path("spec.json"), "rb") as file:
            return json.load(file)

    def take(self):
        """From `started` on the attempt is spent: whatever happens, nothing executes it a second time."""
        try:
            os.close(os.open(self.path("started"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError as error:
            raise Refused("already taken") from error
        try:
            # kill point: wrapper/spent
            sync_folder(self._path)
            self._result = os.open(self.path(".exit.json.tmp"), os.O_RDWR | os.O_CREAT, 0o600)
            reserve(self._result, RESULT_BYTES)
        except OSError:
            self.give_back()
            raise

    def give_back(self):
        """Only for a job that was taken and surely not begun."""
        os.unlink(self.path("started"))

    def describe(self, document):
        """wrapper.json: how a later process finds us, told from another process with the same pid.

        Atomic, but not made durable: after a power cut it would describe nothing that lives.
        """
        me = {"pid": os.getpid(), "start": linux.start_time(os.getpid()), "bootId": linux.boot_id()}
        temporary = self.path(".wrapper.json.tmp")
        with open(temporary, "w") as file:
            json.dump(dict(document, schema=2, **me), file)
        os.rename(temporary, self.path("wrapper.json"))

    def given_up(self):
        """Whether the attempt was taken for dead before it had said that it lives."""
        return os.path.exists(self.path("given-up"))

    def say_alive(self):
        """The time of wrapper.json is the last moment at which the attempt is known to have run."""
        try:
            os.utime(self.path("wrapper.json"))
        except OSError:
            pass

    def stop_requested(self):
        return os.path.exists(self.path("stop-request.json"))

    def stop_request(self, grace):
        """What whoever asked wrote before the TERM; without that the TERM came from elsewhere (the machine goes down)."""
        limit = time.monotonic() + REQUEST_SECONDS
        while True:
            try:
                return self._read_request()
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                if time.monotonic() > limit:
                    return StopRequest(None, grace, None, None)
            time.sleep(0.02)

    def _read_request(self):
        with open(self.path("stop-request.json"), "rb") as file:
            request = json.load(file)
        reason, seconds = request["reason"], float(request["graceSeconds"])
        because = request.get("because") or {}
        rank, why = because.get("rank"), because.get("message")
        return StopRequest(
            reason if reason in STOP_REASONS else "cancel",
            max(0.0, seconds),
            rank if isinstance(rank, int) else None,
            why if isinstance(why, str) else None,
        )

    def write_result(self, document):
        """Last and atomically: whoever sees exit.json sees all of it."""
        data = json.dumps(document).encode()
        os.pwrite(self._result, data, 0)
        os.ftruncate(self._result, len(data))
        os.fsync(self._result)
        # kill point: wrapper/result-written
        os.rename(self.path(".exit.json.tmp"), self.path("exit.json"))
        # kill point: wrapper/result-named
        sync_folder(self._path)


class ControlFolder:
    """A rank's side of the agreement with its program. It belongs to the stage: no link in it is ever followed."""

    def __init__(self, path):
        self._path = path
        self._folder = None

    def open(self):
        self._folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)

    def say_stop(self, reason):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            descriptor = os.open("stop", flags, 0o600, dir_fd=self._folder)
        except OSError:
            return
        try:
            os.fchmod(descriptor, 0o644)  # in a container the program is another user
            os.write(descriptor, reason.encode() + b"\n")
        except OSError:
            pass
        os.close(descriptor)

    def program_listens(self):
        """Whether the program says that it watches `stop`."""
        try:
            os.stat("listens", dir_fd=self._folder, follow_symlinks=False)
            return True
        except OSError as error:
            return error.errno != errno.ENOENT


def reserve(descriptor, size):
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.write(descriptor, b" " * size)
        os.fsync(descriptor)


def sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
