"""Runs one attempt of a stage and outlives whoever asked for it. See docs/adr/0002-run-wrapper.md.

    python -I -S -B run_wrapper.py ATTEMPT_DIR

stdin carries one JSON document, {"secrets": {NAME: VALUE}, "hidden": [WORD]}: what must not be on the disk, and what
is taken out of the log because of it. ATTEMPT_DIR/spec.json holds the rest. One JSON line on stdout says whether this
process took the job: {"took": true}, or false and why.
Python >= 3.8, standard library only.
"""

import json
import os
import resource
import select
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wrapper_linux as linux  # noqa: E402
import wrapper_log as log  # noqa: E402
from process_program import Children, ProcessProgram  # noqa: E402
from wrapper_folder import AttemptFolder, ControlFolder, Refused, StopRequest  # noqa: E402
from wrapper_rank import Rank, ended_well, not_started  # noqa: E402

WAKE_SECONDS = 0.2
# How soon what could not be said of a running attempt is said again.
AGAIN_SECONDS = 1.0
# How often it is noted that the attempt still runs: so much of its runtime is unknown where the machine loses its power.
ALIVE_SECONDS = 20.0
NOT_OURS = "The machine, or somebody on it, told the run to end (TERM): Goldfish had not asked for it."


def main(attempt_dir):
    os.umask(0o077)
    folder = AttemptFolder(attempt_dir)
    try:
        secrets, hidden = read_request()
        # kill point: wrapper/request-read
        folder.lock()
        # kill point: wrapper/locked
        attempt = Attempt(folder, folder.spec(), secrets, hidden)
        attempt.take()
    except (Refused, OSError, ValueError, KeyError, TypeError) as error:
        answer({"took": False, "why": getattr(error, "strerror", None) or str(error) or type(error).__name__})
        return 3
    # kill point: wrapper/taken
    answer({"took": True})
    # kill point: wrapper/answered
    try:
        attempt.run()
    except BaseException:
        # A defect of ours, or a disk that refuses the result: no result is written, nothing is left running.
        attempt.abandon()
        raise
    return 0


def read_request():
    """The whole document or nothing: a caller that died while writing has not asked for anything."""
    try:
        document = json.loads(sys.stdin.buffer.read())
        secrets = {str(name): str(value) for name, value in document["secrets"].items()}
        return secrets, [str(word) for word in document["hidden"]]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Refused("the request was cut short") from error


def answer(document):
    """Then stdin and stdout are let go: the program must not hold the caller's pipes open."""
    try:
        os.write(1, json.dumps(document).encode() + b"\n")
    except OSError:
        pass  # the caller is gone; the job goes on without it
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


class Attempt:
    def __init__(self, folder, spec, secrets, hidden):
        if spec["schema"] != 2:
            raise Refused("the request is of another version of Goldfish")
        self.folder = folder
        self.spec = spec
        self.run_id = str(spec["runId"])
        self.number = int(spec["attempt"])
        self.grace = float(spec["stopGraceSeconds"])
        self.timeout = float(spec["timeoutSeconds"])
        self.redactor = log.Redactor(hidden)
        self.line_up = None
        self.children = Children([b"GOLDFISH_RUN_ID=" + self.run_id.encode(), b"GOLDFISH_ATTEMPT=%d" % self.number])
        self.ranks = [self.make_rank(rank, secrets) for rank in spec["ranks"]]
        if not self.ranks:
            raise Refused("the request names no program")
        self.begun = []
        self.stopped_others = False
        self.unsaid = False
        self.alive_at = 0.0
        self.writer = self.began_at = self.started_at = self.began = self.deadline = self.error = None
        # Why all ranks are to end: somebody asked (its reason), or one of them failed.
        self.request = self.failed = None
        self.asked_to_stop = False

    def make_rank(self, spec, secrets):
        number, program = int(spec["rank"]), spec["program"]
        name = "goldfish-%s-%d%s" % (self.run_id, self.number, "-r%d" % number if number else "")
        if program["kind"] == "process":
            made = ProcessProgram(program, name, secrets, self.children)
        elif program["kind"] == "container":
            from container_program import ContainerProgram, LineUp  # its imports are half of our start-up time

            self.line_up = self.line_up or LineUp()
            made = ContainerProgram(program, secrets, self.wake, self.line_up)
        else:
            raise Refused("there is no kind of program called %s" % program["kind"])
        return Rank(number, ControlFolder(spec["control"]), made)

    def make_stream(self, rank, letter):
        label = "[rank %d] " % rank.number if len(self.ranks) > 1 else ""
        return log.LineStream(letter, self.writer, self.redactor, label)

    def take(self):
        self.folder.take()
        try:
            for rank in self.ranks:
                rank.control.open()
            self.writer = log.LogWriter(self.folder.path("log"))
            self.watch_signals()
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
            self.describe()
        except OSError:
            self.folder.give_back()
            raise

    def watch_signals(self):
        """Signals only wake the loop; everything is decided there."""
        self.wake_reader, self.wake_writer = os.pipe()
        os.set_blocking(self.wake_reader, False)
        os.set_blocking(self.wake_writer, False)
        signal.set_wakeup_fd(self.wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.on_term)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wake(self):
        """From any thread."""
        try:
            os.write(self.wake_writer, b"\0")
        except BlockingIOError:
            pass  # it is full of wake-ups already

    def on_term(self, *_):
        self.asked_to_stop = True

    def describe(self):
        ranks = [dict(rank.program.describe(), rank=rank.number, ended=not rank.living) for rank in self.ranks]
        about = {"runId": self.run_id, "attempt": self.number, "startedAt": self.started_at, "ranks": ranks}
        self.folder.describe(about)

    def note(self):
        """describe() of an attempt that runs: a disk that is full for now must not end it."""
        try:
            self.describe()
            self.unsaid = False
        except OSError:
            self.unsaid = True

    # --- running --------------------------------------------------------------------------------------------------

    def run(self):
        if self.folder.stop_requested():
            request = self.folder.stop_request(self.grace)
            self.request = request._replace(reason=request.reason or "cancel")
            self.ranks[0].ending = not_started("It was stopped before its program started.")
        elif self.folder.given_up():
            self.ranks[0].ending = not_started("It was given up before its program started.")._replace(lost=True)
        else:
            self.execute()
        self.finish()

    def execute(self):
        self.began_at = log.iso_time()
        self.began = time.monotonic()
        self.deadline = self.began + self.timeout
        for rank in self.ranks:
            self.begun.append(rank)
            # kill point: wrapper/program-wanted
            try:
                rank.start(lambda letter, rank=rank: self.make_stream(rank, letter))
            except (linux.StartError, OSError, RuntimeError) as error:
                rank.ending = not_started(why_not_started(error), errno_of(error))
                self.fail(rank)
                break
        # kill point: wrapper/programs-started
        self.watch()
        # kill point: wrapper/programs-ended
        if not self.children.end_all():
            self.error = "Some of its processes could not be ended."
        # kill point: wrapper/all-ended
        for rank in self.ranks:
            rank.drain()
            # kill point: wrapper/drained

    def watch(self):
        """Until every program is gone: copy their output, obey the deadline and requests to stop."""
        while True:
            self.children.reap()
            self.note_start()
            self.note_ends()
            self.note_life()
            if self.unsaid:
                self.note()
            living = [rank for rank in self.begun if rank.living]
            if not living:
                return
            if self.asked_to_stop:
                self.asked_to_stop = False
                self.ask(self.folder.stop_request(self.grace))
            now = time.monotonic()
            if not self.stopping and now >= self.deadline:
                self.ask(StopRequest("timeout", self.grace, None, None))
            for rank in living:
                rank.press(now)
            self.wait(now)

    def note_start(self):
        """The attempt runs when all its ranks do."""
        if self.started_at is None and all(rank.program.started for rank in self.ranks):
            self.started_at = self.began_at
            self.note()
            # kill point: wrapper/start-noted
            self.poke()

    def note_ends(self):
        for rank in self.begun:
            if not rank.note_end():
                continue
            if not ended_well(rank.ending):
                if self.failed is None:
                    self.fail(rank)
            elif len(self.ranks) > 1:
                self.note()  # the others are waited for; nobody need wait for a sign of life of this one

    def note_life(self):
        now = time.monotonic()
        if now - self.alive_at >= ALIVE_SECONDS:
            self.folder.say_alive()
            self.alive_at = now

    def wait(self, now):
        poller = select.poll()
        poller.register(self.wake_reader, select.POLLIN)
        reading = {}
        for rank in self.ranks:
            for descriptor in rank.descriptors():
                reading[descriptor] = rank
                poller.register(descriptor, select.POLLIN)
        for descriptor, _events in poller.poll(self.patience(now)):
            if descriptor == self.wake_reader:
                empty(descriptor)
            else:
                reading[descriptor].copy(descriptor)

    def patience(self, now):
        """Milliseconds until something is due, rounded up so that the loop does not spin before it."""
        due = [moment for rank in self.ranks for moment in rank.due()] + [self.alive_at + ALIVE_SECONDS]
        if not self.stopping:
            due.append(self.deadline)
        if self.unsaid:
            due.append(now + AGAIN_SECONDS)
        return max(0, int((min(due) - now) * 1000) + 1)

    # --- stopping -------------------------------------------------------------------------------------------------

    @property
    def stopping(self):
        return self.request is not None or self.failed is not None

    def fail(self, rank):
        """One rank ends all."""
        self.failed = rank
        if self.request is None:
            self.stop("rank", self.grace)

    def ask(self, request):
        """The first reason of ours stays. A later request can only shorten the grace period."""
        if self.stopping:
            if self.request and self.request.reason is None:
                self.request = request
            now = time.monotonic()
            for rank in self.ranks:
                rank.hurry(request.grace, now)
            return
        self.request = request
        self.stop(request.reason or "shutdown", request.grace)

    def stop(self, reason, grace):
        now = time.monotonic()
        for rank in self.begun:
            if rank.living:
                rank.stop(reason, grace, now)
                self.stopped_others = True

    def abandon(self):
        """A defect of ours, or a disk that refuses the result."""
        for rank in self.begun:
            if rank.living:
                rank.program.kill()
        self.children.end_all()

    # --- ending ---------------------------------------------------------------------------------------------------

    def decisive(self):
        """The rank whose end is the attempt's: the one that was named or failed first, else rank 0."""
        named = self.request.rank if self.request else None
        return next((rank for rank in self.begun if rank.number == named), self.failed or self.ranks[0])

    def finish(self):
        rank = self.decisive()
        ending = rank.ending
        self.writer.close()
        # kill point: wrapper/log-closed
        for begun in self.begun:
            begun.program.release()
        log_error = self.writer.error and "The log is incomplete: %s." % self.writer.error
        error = " ".join(text for text in (self.explain(rank), self.error, log_error) if text)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN) if ending.started and self.children.used else None
        self.folder.write_result(
            {
                "schema": 1,
                "runId": self.run_id,
                "attempt": self.number,
                "started": ending.started,
                "exitCode": ending.exit_code,
                "signal": ending.signal,
                "stoppedBy": self.request.reason if self.request else None,
                "oom": ending.oom,
                "rank": rank.number,
                "lost": ending.lost or self.not_ours,
                "error": error[:1000] or None,
                "errno": ending.errno or self.writer.errno,
                "startedAt": self.began_at if ending.started else None,
                "endedAt": log.iso_time(),
                # The times above are those of a clock that jumps, on a machine that may have slept in between.
                "ranSeconds": round(time.monotonic() - self.began, 3) if ending.started else None,
                "maxRssBytes": usage and usage.ru_maxrss * 1024,
                "cpuSeconds": usage and round(usage.ru_utime + usage.ru_stime, 3),
                "logBytes": self.writer.offset,
            }
        )
        self.poke()

    @property
    def not_ours(self):
        """Ended by a TERM from elsewhere: how the program would have ended is not known."""
        return self.request is not None and self.request.reason is None

    def explain(self, rank):
        """Why it ended so, as far as exit code and signal do not say it."""
        ending = rank.ending
        if self.not_ours:
            return NOT_OURS
        if self.request and self.request.message:
            return self.request.message
        if len(self.ranks) == 1 or self.request or ended_well(ending):
            return ending.error
        if ending.error:
            said = "Rank %d: %s" % (rank.number, ending.error)
            return said + (" The others were stopped." if self.stopped_others else "")
        how = "died by %s" % ending.signal if ending.signal else "ended with exit code %d" % ending.exit_code
        if ending.oom:
            how = "used more memory than its limit and was killed"
        others = "; the others were stopped" if self.stopped_others else ""
        return "Rank %d %s%s." % (rank.number, how, others)

    def poke(self):
        """Tells the supervisor that there is something to see. Nobody listening is no error."""
        if not self.spec["wakeSocket"]:
            return
        import socket

        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(WAKE_SECONDS)
                connection.connect(self.spec["wakeSocket"])
                connection.sendall(b"wake\n")
        except OSError:
            pass


def why_not_started(error):
    if isinstance(error, linux.StartError):
        return str(error)
    return "The program could not be started: %s." % (getattr(error, "strerror", None) or error)


def errno_of(error):
    return error.errno if isinstance(error, linux.StartError) else linux.errno_name(error)


def empty(descriptor):
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stderr.flush()
    os._exit(code)  # threads that still wait for an engine are not waited for
