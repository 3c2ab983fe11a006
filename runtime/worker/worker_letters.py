"""What machine and controller tell one another. The documents are those of src/pool/documents.ts; a test compares them."""

import collections
import json
import re
import threading
import time

from bootstrap import say
from worker_bucket import UNCHANGED, Conflict
from wrapper_log import iso_time

LETTER_SECONDS = 20.0
# A letter that did not get through is written anew after so long, with what is true then.
AGAIN_SECONDS = 2.0

# `job` is None once there will be no other.
Assignment = collections.namedtuple("Assignment", "number job generation")
AssignedJob = collections.namedtuple("AssignedJob", "run_id attempt prefix")

OURS, CALLED_OFF, EARLIER = "ours", "called_off", "earlier"


class LetterBox(threading.Thread):
    """Writes `state.json`: at every change, and every 20 s. One thread, so that an old letter never follows a new one."""

    def __init__(self, bucket, worker, boot):
        super().__init__(daemon=True)
        self._bucket, self._key = bucket, "workers/%s/state.json" % worker
        self._change = threading.Condition()
        self._count = self._sent = 0
        self._letter = {
            "schema": 1,
            "worker": worker,
            "boot": boot,
            "phase": "starting",
            "number": 0,
            "job": "none",
            "leaves": None,
            "publicKey": None,
            "images": [],
            "driver": None,
        }

    @property
    def phase(self):
        return self._letter["phase"]

    def tell(self, **changed):
        with self._change:
            letter = dict(self._letter, **changed)
            if letter != self._letter:
                self._letter = letter
                self._count += 1
                self._change.notify_all()

    def flush(self, seconds):
        """Waits until the newest letter is in the bucket; False where that takes longer."""
        limit = time.monotonic() + seconds
        with self._change:
            while self._sent < self._count and time.monotonic() < limit:
                self._change.wait(limit - time.monotonic())
            return self._sent >= self._count

    def run(self):
        while True:
            with self._change:
                letter, count = self._letter, self._count
            try:
                data = json.dumps(dict(letter, at=iso_time())).encode()
                self._bucket.put(self._key, data, budget=0)
                patience = LETTER_SECONDS
            except Exception as error:  # noqa: B902 - a machine that says nothing any more is taken for dead
                say("the letter did not get through: %s" % (str(error) or type(error).__name__))
                count, patience = -1, AGAIN_SECONDS
            with self._change:
                self._sent = max(self._sent, count)
                self._change.notify_all()
                if count in (-1, self._count):
                    self._change.wait(patience)


class Mail:
    """The assignment of this machine, and claims of its jobs."""

    def __init__(self, bucket, worker, nonce):
        self._bucket, self._worker, self._nonce = bucket, worker, nonce
        self._key = "workers/%s/assignment.json" % worker
        self._known = None

    def read(self):
        """The newest assignment; None where there is none. Raises Away, Refused."""
        found = self._bucket.read(self._key, self._known and self._known.generation, budget=0)
        if found is None:
            self._known = None
        elif found is not UNCHANGED:
            self._known = parse_assignment(found, self._worker)
        return self._known

    def claim(self, number, prefix):
        """OURS; EARLIER where an earlier boot of this machine has begun the job; CALLED_OFF where it is not to be begun.

        Raises Away: then nobody knows, and the same call tells.
        """
        key = "%sclaims/%s-%d.json" % (prefix, self._worker, number)
        document = json.dumps({"schema": 1, "by": self._worker, "nonce": self._nonce}).encode()
        try:
            self._bucket.put(key, document, "0")
            return OURS
        except Conflict:
            found = self._bucket.read(key)
        try:
            claim = json.loads(found.data.decode())
            by, nonce = claim["by"], claim["nonce"]
        except (AttributeError, ValueError, KeyError, TypeError):
            return CALLED_OFF
        if by != self._worker:
            return CALLED_OFF
        return OURS if nonce == self._nonce else EARLIER

    def close(self):
        """Nobody can give this machine work once this is written. False where somebody has meanwhile. Raises Away."""
        known = self._known
        number, generation = (known.number, known.generation) if known else (1, "0")
        document = {"schema": 1, "worker": self._worker, "number": number, "job": None}
        try:
            self._bucket.put(self._key, json.dumps(document).encode(), generation)
            return True
        except Conflict:
            return False


def parse_assignment(found, worker):
    """None, and a line on the serial port, for what is no assignment of this machine."""
    try:
        document = json.loads(found.data.decode())
        number, job = document["number"], document["job"]
        if document["schema"] != 1 or document["worker"] != worker or type(number) is not int or number < 1:
            raise ValueError("it is of another version, or another machine's")
        return Assignment(number, None if job is None else parse_job(job), found.generation)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        say("the assignment makes no sense: %s" % error)
        return None


def parse_job(job):
    run_id, attempt, prefix = job["runId"], job["attempt"], job["prefix"]
    # Below it everything of the job is written: it must not be another's place.
    if type(attempt) is not int or not re.match(r"runs/[^/]+/[0-9]+/\Z", prefix):
        raise ValueError("it names no folder of an attempt")
    return AssignedJob(run_id, attempt, prefix)
