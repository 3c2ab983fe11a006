"""The run wrapper of a job: starting it, stopping it, and its word on how the program ended.

Requests to stop are left as src/backends/stop-request.ts leaves them; a test compares the two.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time

from worker_files import write_whole
from worker_places import ATTEMPT, WRAPPER
from wrapper_log import iso_time
from wrapper_rank import LAST_WORD_SECONDS

ANSWER_SECONDS = 60.0
# How long after the moment by which a run wrapper has ended its programs one that has not is taken for deaf.
DEAF_SECONDS = 5.0
NOTE = os.path.join(ATTEMPT, "stop-request.json")


class NotStarted(Exception):
    """The text says why."""


class Wrapper:
    def __init__(self, spec):
        self._spec, self._process = spec, None
        # The request that it was left, and by when it has ended its programs then.
        self._note = self._ends = None

    def start(self, request):
        """`request`: the bytes it reads. Raises NotStarted."""
        write_whole(os.path.join(ATTEMPT, "spec.json"), json.dumps(self._spec).encode())
        with open(os.path.join(ATTEMPT, "wrapper.err"), "ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", WRAPPER, ATTEMPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        try:
            self._process.stdin.write(request)
            self._process.stdin.close()
        except OSError:
            pass  # it ended before it had read everything, and says why
        answer = self._answer()
        if answer.get("took") is not True:
            self.kill()
            raise NotStarted("The program that runs stages did not start: %s." % (answer.get("why") or "it said nothing"))

    def _answer(self):
        data, limit = b"", time.monotonic() + ANSWER_SECONDS
        pipe = self._process.stdout
        while time.monotonic() < limit:
            if select.select([pipe], [], [], 1.0)[0]:
                part = os.read(pipe.fileno(), 4096)
                if not part:
                    break
                data += part
        pipe.close()
        try:
            return dict(json.loads(data.decode()))
        except (ValueError, TypeError):
            return {}

    @property
    def ended(self):
        return self._process.poll() is not None

    def wait(self, seconds):
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    # --- stopping -----------------------------------------------------------------------------------------------------

    @property
    def note(self):
        """What it was asked last: reason, graceSeconds, because?, requestedAt, endBy, killedAt?."""
        return self._note

    def stop(self, request):
        """May be repeated. The first reason stays; a later request can only shorten the grace."""
        grace, now = max(0.0, float(request["graceSeconds"])), time.monotonic()
        ends = now + grace + LAST_WORD_SECONDS
        end_by = iso_time(time.time() + grace + LAST_WORD_SECONDS)
        if self._note is None:
            note = dict(request, graceSeconds=grace, requestedAt=iso_time(), endBy=end_by)
        elif grace < self._note["graceSeconds"]:
            note = dict(self._note, graceSeconds=grace, endBy=min(end_by, self._note["endBy"]))
        else:
            return
        self._ends = ends if self._ends is None else min(ends, self._ends)
        self._note = note
        write_whole(NOTE, json.dumps(note).encode())
        self._send(signal.SIGTERM)

    @property
    def deaf(self):
        """Whether it should have ended long ago."""
        return self._ends is not None and time.monotonic() > self._ends + DEAF_SECONDS

    def kill_deaf(self):
        if "killedAt" not in self._note:
            self._note = dict(self._note, killedAt=iso_time())
            write_whole(NOTE, json.dumps(self._note).encode())
        self.kill()

    def kill(self):
        self._send(signal.SIGKILL)

    def _send(self, number):
        if self._process is not None and not self.ended:
            try:
                os.kill(self._process.pid, number)
            except OSError:
                pass

    # --- the end ------------------------------------------------------------------------------------------------------

    def result(self):
        """What it wrote; None where it left nothing, or nothing that makes sense."""
        try:
            with open(os.path.join(ATTEMPT, "exit.json"), "rb") as file:
                document = json.loads(file.read().decode())
        except (OSError, ValueError):
            return None
        same = isinstance(document, dict) and document.get("runId") == self._spec.get("runId")
        return document if same and document.get("attempt") == self._spec.get("attempt") else None


def read_started_at():
    """When the programs of the attempt ran; None where they did not, or nobody knows."""
    try:
        with open(os.path.join(ATTEMPT, "wrapper.json"), "rb") as file:
            started_at = json.loads(file.read().decode())["startedAt"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return started_at if isinstance(started_at, str) else None
