"""Runs one attempt of a stage and outlives whoever asked for it. See docs/adr/0002-run-wrapper.md.

    python -I -S -B run_wrapper.py ATTEMPT_DIR

stdin carries one JSON document, {"secrets": {NAME: VALUE}}: what must not be on the disk. ATTEMPT_DIR/spec.json holds
the rest. One JSON line on stdout says whether this process took the job: {"took": true}, or false and why.
Python >= 3.8, standard library only.
"""

import json
import os
import resource
import select
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import wrapper_linux as linux  # noqa: E402
import wrapper_log as log  # noqa: E402
from wrapper_folder import AttemptFolder, Refused  # noqa: E402

READ_BYTES = 128 * 1024
WAKE_SECONDS = 0.2


def main(attempt_dir):
    os.umask(0o077)
    folder = AttemptFolder(attempt_dir)
    try:
        secrets = read_secrets()
        folder.lock()
        attempt = Attempt(folder, folder.spec(), secrets)
        attempt.take()
    except (Refused, OSError, ValueError, KeyError, TypeError) as error:
        answer({"took": False, "why": getattr(error, "strerror", None) or str(error) or type(error).__name__})
        return 3
    answer({"took": True})
    try:
        attempt.run()
    except BaseException:
        # A defect of ours, or a disk that refuses the result: no result is written, nothing is left running.
        linux.kill_all(attempt.mark, attempt.reap)
        raise
    return 0


def read_secrets():
    """The whole document or nothing: a caller that died while writing has not asked for anything."""
    try:
        document = json.loads(sys.stdin.buffer.read())
        return {str(name): str(value) for name, value in document["secrets"].items()}
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
    def __init__(self, folder, spec, secrets):
        self.folder = folder
        self.spec = spec
        self.run_id = str(spec["runId"])
        self.number = int(spec["attempt"])
        self.secrets = secrets
        self.grace = float(spec["stopGraceSeconds"])
        self.sandbox = spec["sandbox"]
        self.program = self.started_at = self.status = self.error = self.memory_group = None
        self.stopped_by = self.deadline = self.term_at = self.kill_at = None
        self.init_report = b""
        self.asked_to_stop = False
        self.mark = [b"GOLDFISH_RUN_ID=" + self.run_id.encode(), b"GOLDFISH_ATTEMPT=%d" % self.number]

    def take(self):
        self.folder.take()
        try:
            self.writer = log.LogWriter(self.folder.path("log"))
            self.redactor = log.Redactor(list(self.secrets.values()))
            self.watch_signals()
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
            self.describe()
        except OSError:
            self.folder.give_back()
            raise

    def watch_signals(self):
        """Signals only wake the loop; everything is decided there."""
        self.wake_reader, writer = os.pipe()
        os.set_blocking(self.wake_reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.on_term)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def on_term(self, *_):
        self.asked_to_stop = True

    def describe(self):
        program = self.program and {"pid": self.program, "start": linux.start_time(self.program)}
        self.folder.describe(
            {
                "runId": self.run_id,
                "attempt": self.number,
                "startedAt": self.started_at,
                "program": program,
                "memoryGroup": self.memory_group.path if self.memory_group else None,
            }
        )

    # --- running --------------------------------------------------------------------------------------------------

    def run(self):
        if self.folder.stop_requested():
            self.stopped_by = self.folder.stop_request(self.grace)[0]
            self.error = "It was stopped before its program started."
        else:
            self.execute()
        self.finish()

    def execute(self):
        out_reader, out_writer = os.pipe()
        err_reader, err_writer = os.pipe()
        self.report, report_writer = os.pipe()
        self.streams = {
            out_reader: log.LineStream("o", self.writer, self.redactor),
            err_reader: log.LineStream("e", self.writer, self.redactor),
        }
        for reader in (out_reader, err_reader, self.report):
            os.set_blocking(reader, False)
        started = time.time()
        try:
            argv, options = self.command(report_writer)
            options.update(stdout=out_writer, stderr=err_writer)
            self.program = linux.start([encode(word) for word in argv], self.environment(), options)
        except linux.StartError as error:
            self.error = str(error)
            return
        finally:
            for writer in (out_writer, err_writer, report_writer):
                os.close(writer)
        self.started_at = log.iso_time(started)
        self.deadline = time.monotonic() + float(self.spec["timeoutSeconds"])
        self.describe()
        self.poke()
        self.watch()
        if not linux.kill_all(self.mark, self.reap):
            self.error = "Some of its processes could not be ended."
        self.drain()

    def command(self, report):
        """What is executed, and the options of linux.start: the program itself, or bubblewrap around it."""
        memory, procs = self.spec["memoryBytes"], None
        if memory:
            self.memory_group = linux.make_memory_group("goldfish-%s-%d" % (self.run_id, self.number), memory)
        if self.memory_group:
            # The kernel's limit is for the whole tree and is seen as OOM; a second, per-process one would hide it.
            memory, procs = None, self.memory_group.procs
        if not self.sandbox:
            return self.spec["argv"], {"cwd": self.spec["cwd"], "memory": memory, "cgroup": procs, "drop": True}
        init = [sys.executable, "-I", "-S", "-B", os.path.join(HERE, "sandbox_init.py")]
        inside = init + [str(report), str(memory or 0), self.spec["cwd"]] + self.spec["argv"]
        return self.sandbox + ["--"] + inside, {"cwd": "/", "keep": (report,), "cgroup": procs}

    def environment(self):
        """Goldfish's own names last: neither plan nor secrets can take them."""
        merged = dict(self.spec["environment"])
        merged.update(self.secrets)
        merged.update(self.spec["goldfishEnvironment"])
        return {encode(name): encode(value) for name, value in merged.items()}

    def watch(self):
        """Until the program is gone: copy its output, obey the deadline and requests to stop."""
        poller = select.poll()
        for descriptor in [*self.streams, self.wake_reader]:
            poller.register(descriptor, select.POLLIN)
        while True:
            self.reap()
            if self.status is not None:
                return
            if self.asked_to_stop:
                self.asked_to_stop = False
                self.stop(*self.folder.stop_request(self.grace))
            now = time.monotonic()
            if self.stopped_by is None and now >= self.deadline:
                self.stop("timeout", self.grace)
            self.press(now)
            for descriptor, _events in poller.poll(self.patience(now)):
                if descriptor == self.wake_reader:
                    empty(self.wake_reader)
                elif not self.copy(descriptor):
                    poller.unregister(descriptor)

    def patience(self, now):
        """Milliseconds until something is due, rounded up so that the loop does not spin before it."""
        due = [moment for moment in (self.term_at, self.kill_at) if moment is not None]
        if self.stopped_by is None:
            due.append(self.deadline)
        return min(3600_000, max(0, int((min(due) - now) * 1000) + 1))

    def copy(self, descriptor):
        """One read. False at the end of the stream."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return True
        if data:
            self.streams[descriptor].feed(data)
        return bool(data)

    def reap(self):
        """Takes every dead child, adopted ones too; keeps the status of the program."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.program:
                self.status = status

    # --- stopping -------------------------------------------------------------------------------------------------

    def stop(self, reason, grace):
        """The first reason stays. A later request can only shorten the grace period."""
        now = time.monotonic()
        if self.stopped_by is not None:
            self.kill_at = min(self.kill_at, now + grace)
            return
        self.stopped_by = reason
        self.folder.say_stop(reason)
        # A program that watches `stop` gets the grace period before TERM as well.
        notice = grace if self.folder.program_listens() else 0.0
        self.term_at = now + notice
        self.kill_at = now + notice + grace

    def press(self, now):
        if self.kill_at is not None and now >= self.kill_at:
            self.term_at = None
            # Again every 100 ms until the program is seen dead: a fork may have raced with the first blow.
            self.kill_at = now + 0.1
            linux.send_group(self.program, signal.SIGKILL)
            for pid in linux.descendants(os.getpid(), linux.processes()):
                linux.send(pid, signal.SIGKILL)
        elif self.term_at is not None and now >= self.term_at:
            self.term_at = None if self.send_term() else now + 0.01

    def send_term(self):
        """False where it cannot be sent yet: a sandbox that is still being set up would swallow it."""
        if not self.sandbox:
            linux.send_group(self.program, signal.SIGTERM)
            linux.send_group(self.program, signal.SIGCONT)
            return True
        if b'"started"' not in self.read_report():
            return False
        # bubblewrap itself would die of TERM and take everything with it: only its child, sandbox_init, gets it.
        for pid, (parent, _state, _start) in linux.processes().items():
            if parent == self.program:
                linux.send(pid, signal.SIGTERM)
        return True

    # --- ending ---------------------------------------------------------------------------------------------------

    def drain(self):
        """What the dead left in the pipes. A pipe still held by somebody is read empty once and let go."""
        for descriptor, stream in self.streams.items():
            try:
                while True:
                    data = os.read(descriptor, READ_BYTES)
                    if not data:
                        break
                    stream.feed(data)
            except BlockingIOError:
                pass
            stream.close()

    def read_report(self):
        """What sandbox_init has said so far."""
        try:
            self.init_report += os.read(self.report, 65536)
        except BlockingIOError:
            pass
        return self.init_report

    def ending(self):
        """(started, exit code, signal) of the program itself, whatever stood around it."""
        if self.program is None:
            return False, None, None
        status = self.status
        if self.sandbox:
            said = {}
            for line in self.read_report().splitlines():
                said.update(json.loads(line))
            if "error" in said or ("started" not in said and self.stopped_by is None):
                self.error = said.get("error", "The sandbox refused to start it; the log says why.")
                return False, None, None
            # Without a status of its own the program was killed together with the whole sandbox.
            status = said.get("status", int(signal.SIGKILL))
        if os.WIFSIGNALED(status):
            return True, None, signal_name(os.WTERMSIG(status))
        return True, os.WEXITSTATUS(status), None

    def finish(self):
        started, exit_code, signal_text = self.ending()
        self.writer.close()
        oom = False
        if self.memory_group:
            # A helper that was killed while the program ended well is not the run's end.
            oom = exit_code != 0 and self.memory_group.oom_kills() > 0
            self.memory_group.remove()
        error = self.error
        if self.writer.error and not error:
            error = "The log is incomplete: %s." % self.writer.error
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.folder.write_result(
            {
                "schema": 1,
                "runId": self.run_id,
                "attempt": self.number,
                "started": started,
                "exitCode": exit_code,
                "signal": signal_text,
                "stoppedBy": self.stopped_by,
                "oom": oom,
                "rank": 0,
                "lost": False,
                "error": error[:1000] if error else None,
                "startedAt": self.started_at if started else None,
                "endedAt": log.iso_time(),
                "maxRssBytes": usage.ru_maxrss * 1024 if started else None,
                "cpuSeconds": round(usage.ru_utime + usage.ru_stime, 3) if started else None,
                "logBytes": self.writer.offset,
            }
        )
        self.poke()

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


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIG%d" % number


def encode(text):
    return text.encode("utf-8", "surrogatepass")


def empty(descriptor):
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
