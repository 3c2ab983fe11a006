"""One job on this machine, from its claim to its result document."""

import json
import threading

from bootstrap import say, say_through
from engine_client import EngineGone, EngineRefused
from worker_bucket import UNCHANGED
from worker_checkpoints import KEEP_SECONDS, Checkpoints
from worker_clean import end_processes
from worker_control import LIFE, LIMIT, PREEMPTED, PREEMPTED_GRACE_SECONDS, STOP, Interrupted
from worker_hiding import words_of
from worker_http import Away, Refused, wait
from worker_outputs import NotSent, send_outputs
from worker_prepare import Failed, Preparation
from worker_result import LATE, LOST_LIFE, LOST_WRAPPER, ended_well, killed, lost, result, stopped_early
from worker_sync import Sync
from worker_wrapper import NotStarted, Wrapper, read_started_at
from wrapper_log import Redactor

LOOK_SECONDS = 0.2
STOP_LOOK_SECONDS = 2.0
# A program whose time is over has no more than this to make an end of it, whatever its config says.
LATE_GRACE_SECONDS = 30.0
REASONS = ("cancel", "timeout", "heartbeat", "monitor")
MOST_REFUSALS = 3
NO_SECRETS = json.dumps({"secrets": {}, "hidden": []}).encode()


class JobWork:
    def __init__(self, job, bucket, engine, token, control, on_end):
        self._job, self._bucket, self._engine, self._token, self._control = job, bucket, engine, token, control
        self._on_end = on_end
        self._sync, self._checkpoints = Sync(job, bucket), Checkpoints(job, bucket)
        self._redactor = Redactor([])
        self._wrapper = Wrapper(job["wrapper"])

    def run(self, request=NO_SECRETS):
        """The result document; None where the machine goes away before there is one. `request`: for the run wrapper.

        What is said here is said without secrets, until say_through(None).
        """
        words = words_of(request)
        self._redactor = Redactor(words)
        self._sync.hide(words)
        say_through(self._hide)
        return self._hidden(self._run(request))

    def _run(self, request):
        with Errand(STOP_LOOK_SECONDS, StopRequests(self._job, self._bucket, self._control).look):
            try:
                Preparation(self._job, self._bucket, self._engine, self._token, self._control.check).run()
                self._control.check()
                self._wrapper.start(request)
            except Interrupted as interrupted:
                return self._not_begun(interrupted.kind)
            except Failed as failed:
                return result(self._job, error=str(failed), errno=failed.errno, failedStep=failed.step)
            except NotStarted as failed:
                return result(self._job, error=str(failed), failedStep="machine")
            # kill point: job/wrapper-started
            document = self._watch()
            # kill point: job/program-ended
            self._on_end()
        return self._finish(document)

    def _hidden(self, document):
        """Names of files, which the stage chose, stand in sentences about them."""
        if document is None:
            return None
        problems = [dict(it, message=self._hide(it["message"])) for it in document.get("problems") or []]
        return dict(document, error=self._hide(document["error"]), problems=problems)

    def _hide(self, text):
        return text and self._redactor.apply(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def _not_begun(self, kind):
        if kind == PREEMPTED:
            return None
        if kind == STOP:
            return stopped_early(self._job, self._control.request)
        return lost(self._job, LOST_LIFE) if kind == LIFE else result(self._job, stoppedBy="timeout", error=LATE)

    # --- while it runs ------------------------------------------------------------------------------------------------

    def _watch(self):
        """Until the run wrapper has ended: what is to be said of the end; None where nobody will be there to be told."""
        check = self._control.check_rest
        # By itself, for a stage waits for it.
        with Errand(KEEP_SECONDS, lambda: self._checkpoints.once(check)):
            with Errand(self._job["syncSeconds"], lambda: self._sync.once(check)):
                while not self._wrapper.ended:
                    if self._control.look() is not None:
                        self._stop()
                    if self._wrapper.deaf:
                        self._end_deaf()
                    self._wrapper.wait(LOOK_SECONDS)
            self._send_last_words()
        return self._judge()

    def _send_last_words(self):
        """Before a large checkpoint takes all the time that is left."""
        try:
            self._sync.once(self._control.check_rest, last=True)
        except Interrupted:
            pass

    def _stop(self):
        kind, grace = self._control.kind, self._job.stop_grace
        if kind == STOP:
            self._wrapper.stop(self._control.request)
        elif kind == LIMIT:
            self._wrapper.stop({"reason": "timeout", "graceSeconds": min(grace, LATE_GRACE_SECONDS)})
        elif kind == LIFE:
            self._wrapper.stop({"reason": "cancel", "graceSeconds": min(grace, LATE_GRACE_SECONDS)})
        if self._control.preempted:
            self._wrapper.stop({"reason": "cancel", "graceSeconds": min(grace, PREEMPTED_GRACE_SECONDS)})

    def _end_deaf(self):
        say("the run wrapper does not hear")
        self._wrapper.kill_deaf()
        try:
            end_processes(self._job.run_id)
            self._engine.remove_all([container["name"] for container in self._job["containers"]])
        except (EngineGone, EngineRefused, OSError) as error:
            say("not everything of the job could be ended: %s" % error)

    def _judge(self):
        document, note, kind = self._wrapper.result(), self._wrapper.note, self._control.kind
        if document is None:
            started_at = read_started_at()
            if note is not None and "killedAt" in note:
                document = killed(self._job, note, started_at)
            else:
                document = lost(self._job, LOST_WRAPPER, started_at)
        ours = note is not None and document["stoppedBy"] is not None
        if kind == PREEMPTED and (ours or document["lost"]):
            return None
        if kind == LIFE and ours:
            document = dict(document, stoppedBy=None, lost=True, error=LOST_LIFE)
        return dict(result(self._job), **document)

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def _finish(self, document):
        self._send_rest()
        # kill point: job/rest-sent
        if document is None or not ended_well(document):
            return document
        try:
            sent, problems = send_outputs(self._job, self._bucket, self._control.check_outputs)
            # kill point: job/outputs-sent
            return dict(document, outputs=sent, problems=problems)
        except NotSent as failed:
            return dict(document, error=str(failed)[:1000], errno=None, failedStep="upload")
        except Interrupted as interrupted:
            if interrupted.kind == PREEMPTED:
                return None
            return dict(document, error="The outputs could not be sent in time.", errno=None, failedStep="upload")

    def _send_rest(self):
        """Log, metrics, checkpoints to their last byte. Without them the result is still the result."""
        refusals, parts = 0, (self._sync, self._checkpoints)
        try:
            while refusals < MOST_REFUSALS:
                for part in parts:
                    part.once(self._control.check_rest, last=True)
                if all(part.complete for part in parts):
                    return
                # An outage is waited for: the result document would not get through either.
                refusals += 1 if any(part.refused for part in parts) else 0
                wait(STOP_LOOK_SECONDS, self._control.check_rest)
        except Interrupted:
            pass
        say("the rest of the job's log, metrics and checkpoints is not sent")


class StopRequests:
    """`control-in/stop.json`, which the controller writes."""

    def __init__(self, job, bucket, control):
        self._key, self._bucket, self._control = job.prefix + "control-in/stop.json", bucket, control
        self._known = None

    def look(self):
        try:
            found = self._bucket.read(self._key, self._known, budget=0)
        except (Away, Refused):
            return
        if found is None or found is UNCHANGED:
            return
        self._known = found.generation
        request = parse_stop(found.data)
        if request is not None:
            self._control.ask(request)


def parse_stop(data):
    """What it says as far as it makes sense; None where it makes none."""
    try:
        document = json.loads(data.decode())
        request = {"reason": document["reason"], "graceSeconds": max(0.0, float(document["graceSeconds"]))}
        because = document.get("because")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if request["reason"] not in REASONS:
        request["reason"] = "cancel"
    if isinstance(because, dict) and type(because.get("rank")) is int and isinstance(because.get("message"), str):
        request["because"] = {"rank": because["rank"], "message": because["message"]}
    return request


class Errand(threading.Thread):
    """Does the same again and again beside the work, until the block ends. What it raises ends it."""

    def __init__(self, seconds, act):
        super().__init__(daemon=True)
        self._seconds, self._act, self._over = seconds, act, threading.Event()

    def run(self):
        try:
            while not self._over.wait(self._seconds):
                self._act()
        except Interrupted:
            pass

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self._over.set()
        self.join()
