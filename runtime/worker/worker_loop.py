"""What the machine does between its jobs: it looks for the next one, grows old, rests, and leaves."""

import threading
import time

from bootstrap import end_machine, say
from engine_client import EngineGone, EngineRefused
from worker_bucket import Conflict
from worker_disks import mount_disks
from worker_http import Away, Refused
from worker_machine import Unfit, wait_until_ready
from worker_metadata import Watch
from worker_parts import LOOK_SECONDS, Leaving, Parts
from worker_turn import Turns

# How often the machine's age is written down, and looked at.
AGE_SECONDS = 5.0
# What does not come to its end so long after its time is ended from outside.
OVERDUE_SECONDS = 600.0
LETTER_SECONDS = 30.0
UNFIT = "The image %s has no %s. Name one that has in gce.profile_overrides.%s.boot_disk.image (docs/gce.md, step 7)."


class Worker:
    def __init__(self, settings):
        self._settings, self._parts = settings, Parts(settings)
        self._memory, self._box, self._mail = self._parts.memory, self._parts.box, self._parts.mail
        self._turns = Turns(self._parts)
        self._idle_since = None

    def run(self):
        """Until the machine is to end. Raises Leaving."""
        Watch("instance/preempted", self._on_preempted).start()
        # Whatever changes there may be a poke: it is only a reason to look.
        Watch("instance/attributes/?recursive=true", lambda _value: self._parts.wake.set()).start()
        threading.Thread(target=self._grow_old, daemon=True).start()
        # kill point: worker/boot-counted
        memory, parts = self._memory, self._parts
        self._box.tell(publicKey=parts.seal.public_key, number=memory.number, job=memory.job)
        if memory.job == "claimed":
            self._box.start()
            self._turns.give_up()
        mount_disks(self._settings["dataDisks"])
        driver = self._wait_until_ready()
        self._turns.clean()
        # kill point: worker/ready
        self._box.tell(driver=driver, images=self._images())
        self._start_letters()
        while True:
            parts.check()
            try:
                self._step()
            except (Away, Refused, Conflict) as error:
                say("looks again: %s" % error)
            parts.wake.wait(LOOK_SECONDS)
            parts.wake.clear()

    def _wait_until_ready(self):
        try:
            return wait_until_ready(self._parts.engine, self._settings["accelerators"], self._parts.check)
        except Unfit as unfit:
            sentence = UNFIT % (self._settings["image"], unfit, self._settings["profile"])
            say(sentence)
            self._turns.refuse(sentence)

    def _step(self):
        assignment = self._mail.read()
        if assignment is not None and assignment.job is None:
            # An earlier boot has closed it: nothing comes any more.
            raise Leaving("idle")
        if assignment is not None and assignment.number > self._memory.number:
            if self._parts.is_old:
                # Another machine has more time for it. As long as it is not claimed, it can be given to one.
                raise Leaving("deadline")
            if not self._turns.look_at(assignment):
                return
            self._idle_since = None
            self._parts.wake.set()
        if self._box.phase != "idle" and not self._is_spent():
            self._box.tell(phase="idle", images=self._images())
            # kill point: worker/idle-said
        self._idle_since = self._idle_since or time.monotonic()
        why = self._reason_to_leave()
        if why is not None:
            if self._mail.close():
                # kill point: worker/closed
                raise Leaving(why)
            say("was given a job while it was about to leave")

    def _reason_to_leave(self):
        if self._parts.is_old:
            return "deadline"
        if self._is_spent():
            return "single_use" if self._settings["singleUse"] else "idle"
        idle = time.monotonic() - self._idle_since
        return "idle" if 0 < self._settings["idleSeconds"] <= idle else None

    def _is_spent(self):
        """It is no longer needed once it has had a job."""
        return self._memory.number > 0 and (self._settings["singleUse"] or self._settings["idleSeconds"] == 0)

    def _images(self):
        try:
            return self._parts.engine.images()
        except (EngineGone, EngineRefused):
            return []

    def _start_letters(self):
        if not self._box.is_alive():
            self._box.start()

    # --- what goes on beside ------------------------------------------------------------------------------------------

    def _on_preempted(self, value):
        if value.strip() == "TRUE":
            say("is being preempted")
            self._parts.take_away("preempted")

    def on_term(self, *_):
        """The machine goes down, for whatever reason."""
        say("is told to end")
        self._parts.take_away("asked")

    def _grow_old(self):
        age = self._parts.age
        while True:
            time.sleep(AGE_SECONDS)
            try:
                age.keep()
            except OSError as error:
                say("its age could not be written down: %s" % error)
            control = self._parts.control
            if self._parts.is_old and control is not None:
                control.end_of_life()
            overdue = age.seconds() - self._settings["lifeSeconds"]
            if overdue >= OVERDUE_SECONDS or (control is not None and control.overdue >= OVERDUE_SECONDS):
                say("does not come to its end")
                end_machine(self._settings["computeEndpoint"])

    # --- the end ------------------------------------------------------------------------------------------------------

    def leave(self, why):
        say("leaves: %s" % why)
        if why == "failed":
            try:
                self._mail.close()
            except (Away, Refused):
                pass  # a job that it was given meanwhile is not claimed
        self._box.tell(phase="leaving", leaves=why)
        self._start_letters()
        self._box.flush(LETTER_SECONDS)
        # kill point: worker/leave-said
        if why in ("preempted", "asked"):
            # Whoever takes it away deletes it too; only a machine that is still there then has to ask.
            time.sleep(OVERDUE_SECONDS)
        end_machine(self._settings["computeEndpoint"])
