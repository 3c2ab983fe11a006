"""Why a job is to end before its time: who said so first, and until when there is time for what."""

import threading
import time

# Of a machine that is taken away 30 s after it was told: by then its program has ended, and what it left is sent.
PREEMPTED_GRACE_SECONDS = 10.0
PREEMPTED_SECONDS = 22.0
# After its limit, what is left of a job is sent for so long.
REST_SECONDS = 120.0

STOP, PREEMPTED, LIMIT, LIFE = "stop", "preempted", "limit", "life"


class Interrupted(Exception):
    """The job is to end: `kind` says why."""

    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


class Control:
    def __init__(self, limit_seconds):
        # A signal may interrupt whoever holds it.
        self._lock = threading.RLock()
        self._deadline = time.monotonic() + limit_seconds
        self._preempted_at = None
        self.kind = None
        # What was asked for: {reason, graceSeconds, because?}; newer requests can only shorten the grace.
        self.request = None
        self.changed = threading.Event()

    def ask(self, request):
        self._interrupt(STOP, request)

    def preempt(self):
        with self._lock:
            self._preempted_at = self._preempted_at or time.monotonic()
        self._interrupt(PREEMPTED)

    def end_of_life(self):
        self._interrupt(LIFE)

    def _interrupt(self, kind, request=None):
        with self._lock:
            self.kind = self.kind or kind
            self.request = request or self.request
        self.changed.set()

    @property
    def overdue(self):
        """Seconds since everything of the job should have come to its end; negative before."""
        return time.monotonic() - self._deadline - REST_SECONDS

    @property
    def preempted(self):
        return self._preempted_at is not None

    def look(self):
        """The reason, if there is one by now."""
        if self.kind is None and time.monotonic() >= self._deadline:
            self._interrupt(LIMIT)
        return self.kind

    def check(self):
        """While there is nothing to be lost: raises Interrupted for any reason."""
        if self.look() is not None:
            raise Interrupted(self.kind)

    def check_outputs(self):
        """While outputs are sent, which a stop no longer concerns."""
        now = time.monotonic()
        if self._preempted_at is not None and now >= self._preempted_at + PREEMPTED_SECONDS:
            raise Interrupted(PREEMPTED)
        if now >= self._deadline or self.kind == LIFE:
            raise Interrupted(LIMIT if now >= self._deadline else LIFE)

    def check_rest(self):
        """While log, metrics and checkpoints are sent, which is worth some time beyond the limit."""
        now = time.monotonic()
        if self._preempted_at is not None and now >= self._preempted_at + PREEMPTED_SECONDS:
            raise Interrupted(PREEMPTED)
        if now >= self._deadline + REST_SECONDS:
            raise Interrupted(LIMIT)
