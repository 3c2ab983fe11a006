"""One turn of the machine: a job from its assignment to the moment when nothing of it is left."""

import json
import time
import traceback

from bootstrap import Unusable, say, say_through
from engine_client import EngineGone, EngineRefused
from worker_bucket import Conflict
from worker_clean import wipe
from worker_control import Control
from worker_document import Job
from worker_http import Away, wait
from worker_job import NO_SECRETS, JobWork
from worker_letters import CALLED_OFF, OURS, AssignedJob
from worker_parts import LOOK_SECONDS, Leaving
from worker_result import LOST_DEFECT, LOST_REBOOT, lost, result
from worker_seal import Damaged
from worker_wrapper import read_started_at

# A job whose document, or secrets, do not come in this time is not waited for.
PATIENCE_SECONDS = 600.0
# Then it looks again.
HEARD_SECONDS = 5.0
CLEAN_TRIES = 5


class Turns:
    def __init__(self, parts):
        self._parts, self._memory, self._box, self._bucket = parts, parts.memory, parts.box, parts.bucket
        self._waiting_since = None
        self._broken = False

    def look_at(self, assignment):
        """Claims and executes it, if everything is there that it takes; whether it had to do with it. Raises Leaving, Away,
        Refused: then it is looked at again.
        """
        job = Job(assignment.job, assignment.number)
        self._box.tell(number=job.number, job="none")
        found, problem, sealed = self._bucket.read(job.prefix + "job.json"), None, None
        if found is None:
            return self._be_patient()
        try:
            job.read(found.data)
        except Unusable as error:
            problem = "The job document cannot be used: %s." % error
        if problem is None and job["secrets"]:
            key = "%ssealed/%s-%d.json" % (job.prefix, self._parts.name, self._memory.boots)
            sealed = self._bucket.read(key)
            if sealed is None:
                return self._be_patient()
        self._waiting_since = None
        # Who was never heard of is waited for much longer than who has fallen silent, so nothing is begun before that.
        if not self._box.flush(HEARD_SECONDS):
            raise Away("its letter does not get through")
        # kill point: turn/document-read
        claim = self._claim(job)
        # kill point: turn/claimed
        if claim == CALLED_OFF:
            self._note_called_off()
        else:
            self._end(job, self._work(job, sealed, problem) if claim == OURS else lost(job, LOST_REBOOT))
        return True

    def _claim(self, job):
        # Before the claim: a boot that comes after this one must know of it.
        self._memory.keep(number=job.number, job="claimed", runId=job.run_id, attempt=job.attempt, prefix=job.prefix)
        # kill point: turn/claim-remembered
        return self._parts.surely(lambda: self._parts.mail.claim(job.number, job.prefix))

    def _note_called_off(self):
        self._memory.keep(job="called_off")
        self._box.tell(job="called_off")

    def refuse(self, sentence):
        """Ends what the machine was given with that, for it can do nothing. Raises Leaving."""
        assignment = self._parts.surely(self._parts.mail.read)
        if assignment is not None and assignment.job is not None and assignment.number > self._memory.number:
            job = Job(assignment.job, assignment.number)
            self._box.tell(number=job.number)
            claim = self._claim(job)
            if claim == CALLED_OFF:
                self._note_called_off()
            else:
                # Not as a failed check, after which restarts do not count: another machine of this image is no better.
                unfit = result(job, error=sentence, failedStep="machine")
                self._write_end(job, unfit if claim == OURS else lost(job, LOST_REBOOT))
        raise Leaving("failed")

    def _be_patient(self):
        self._waiting_since = self._waiting_since or time.monotonic()
        if time.monotonic() - self._waiting_since >= PATIENCE_SECONDS:
            say("what belongs to its job does not come")
            raise Leaving("failed")
        return False

    def _work(self, job, sealed, problem):
        self._box.tell(phase="working", job="claimed")
        if problem is not None:
            return result(job, error=problem[:1000], failedStep="document")
        request = NO_SECRETS
        if sealed is not None:
            try:
                request = self._parts.seal.open(sealed.data)
            except Damaged as error:
                return result(job, error="The secrets could not be opened: %s." % error, failedStep="secrets")
        control = Control(job["limitSeconds"])
        self._parts.work_on(control)
        try:
            work = JobWork(job, self._bucket, self._parts.engine, self._parts.token.get, control, self._on_end)
            document = work.run(request)
        except Exception:  # noqa: B902 - a defect of ours must not leave the job without an end
            say(traceback.format_exc())
            self._broken, document = True, lost(job, LOST_DEFECT, read_started_at())
        finally:
            self._parts.work_on(None)
        if document is None:
            raise Leaving(self._parts.taken)
        return document

    def _on_end(self):
        """Its program has ended; nobody is to judge it by its silence any more."""
        self._box.tell(phase="sending")

    def _end(self, job, document):
        self._write_end(job, document, phase="cleaning")
        self.clean([container["name"] for container in job["containers"]] if job.document else [])
        # kill point: turn/wiped
        # Nothing is left that could tell one, but in what is said of a failure.
        say_through(None)
        # A machine that failed a check would fail the next one too, and is nothing to keep.
        if self._broken or document.get("failedStep") == "preflight":
            raise Leaving("failed")

    def _write_end(self, job, document, **told):
        self._parts.surely(lambda: self._write_result(job.prefix, document))
        # kill point: turn/result-written
        self._memory.keep(job="ended")
        # kill point: turn/end-remembered
        self._box.tell(job="ended", **told)

    def give_up(self):
        """What an earlier boot had begun, or was about to. It is never begun again."""
        run_id, attempt, prefix = self._memory.place
        job = Job(AssignedJob(run_id, attempt, prefix), self._memory.number)
        if self._parts.surely(lambda: self._parts.mail.claim(job.number, prefix)) == CALLED_OFF:
            self._memory.keep(job="called_off")
        else:
            document = lost(job, LOST_REBOOT, read_started_at())
            self._parts.surely(lambda: self._write_result(prefix, document))
            # kill point: turn/loss-written
            self._memory.keep(job="ended")
        self._box.tell(phase="cleaning", job=self._memory.job)

    def _write_result(self, prefix, document):
        try:
            self._bucket.put(prefix + "exit.json", json.dumps(document).encode(), "0")
        except Conflict:
            say("there is a result document already")

    def clean(self, names=()):
        """Nothing of the last job is left afterwards. Raises Leaving where that cannot be had."""
        run_id, _attempt, _prefix = self._memory.place
        for _ in range(CLEAN_TRIES):
            try:
                return wipe(run_id, self._parts.engine, names)
            except (OSError, EngineGone, EngineRefused) as error:
                say("not everything of the last job is gone: %s" % error)
            wait(LOOK_SECONDS)
        raise Leaving("failed")
