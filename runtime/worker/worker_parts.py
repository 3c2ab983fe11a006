"""The parts of the worker program, made once, and what all of them must know: whether the machine is being taken away."""

import os
import threading

from bootstrap import say
from worker_bucket import Bucket
from worker_engine import MachineEngine
from worker_http import Away, Endpoint, Refused, wait
from worker_letters import LetterBox, Mail
from worker_machine import Age, Memory
from worker_metadata import Token
from worker_places import ENGINE
from worker_seal import Seal

LOOK_SECONDS = 2.0


class Leaving(Exception):
    """The machine is to end: `why` is a word of the letter."""

    def __init__(self, why):
        super().__init__(why)
        self.why = why


class Parts:
    def __init__(self, settings):
        self.settings, self.name = settings, settings["worker"]
        self.memory, self.age, self.token = Memory(), Age(), Token()
        endpoint = Endpoint(settings["storageEndpoint"], self.token)
        self.bucket = Bucket(endpoint, settings["bucket"], settings["bucketPrefix"])
        self.engine = MachineEngine(ENGINE)
        self.seal = Seal()
        self.mail = Mail(self.bucket, self.name, os.urandom(16).hex())
        self.box = LetterBox(self.bucket, self.name, self.memory.boots)
        self.wake = threading.Event()
        # A signal may interrupt whoever holds it.
        self._lock = threading.RLock()
        self._control = None
        # Why the machine is being taken away: a word of the letter.
        self.taken = None

    @property
    def is_old(self):
        return self.age.seconds() >= self.settings["lifeSeconds"]

    @property
    def control(self):
        """Of the job that is worked on; None between jobs."""
        return self._control

    def work_on(self, control):
        with self._lock:
            self._control = control
            if self.taken is not None and control is not None:
                control.preempt()

    def take_away(self, why):
        """There is little time left, and nothing new is begun."""
        with self._lock:
            self.taken = why if self.taken is None or why == "preempted" else self.taken
            if self._control is not None:
                self._control.preempt()
        self.wake.set()

    def check(self):
        """Raises Leaving where the machine is being taken away."""
        if self.taken is not None:
            raise Leaving(self.taken)

    def surely(self, act):
        """act() until it gets through. Raises Leaving where it does not, and there is no time for another try."""
        while True:
            try:
                return act()
            except (Away, Refused) as error:
                say("tries again: %s" % error)
                self.check()
            wait(LOOK_SECONDS)
