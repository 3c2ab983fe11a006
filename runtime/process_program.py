"""A program that is a process of this machine, with or without bubblewrap around it."""

import json
import os
import signal
import sys

import wrapper_cgroups as cgroups
import wrapper_linux as linux
from wrapper_rank import Ending, not_started

HERE = os.path.dirname(os.path.abspath(__file__))
# bubblewrap and sandbox_init stand beside the program and are no part of what it may start.
SANDBOX_PROCESSES = 2
# A mount that somebody takes away while bubblewrap copies the machine's mounts makes it give up.
SANDBOX_TRIES = 4
# An empty pipe has room for it.
PAGE_BYTES = 4096


class Children:
    """The processes below this one: their statuses, and the end of them all."""

    def __init__(self, mark):
        self._mark = mark
        self._statuses = {}  # of the programs; None while they live
        self.used = False

    def start(self, argv, environment, options):
        self.used = True
        pid = linux.start([encode(word) for word in argv], environment, options)
        self._statuses[pid] = None
        return pid

    def reap(self):
        """Takes every dead child, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._statuses:
                self._statuses[pid] = status

    def status(self, pid):
        return self._statuses.get(pid)

    def end_all(self):
        """False where something could not be ended."""
        return not self.used or linux.kill_all(self._mark, self.reap)


class ProcessProgram:
    def __init__(self, spec, name, secrets, children):
        """`name` is that of its groups."""
        self._argv = [str(word) for word in spec["argv"]]
        self._cwd = spec["cwd"]
        self._sandbox = spec["sandbox"]
        self._limits = {"memory": spec["memoryBytes"], "pids": spec.get("pidsLimit"), "cpus": spec.get("cpus")}
        # Goldfish's own names last: neither plan nor secrets can take them.
        merged = dict(spec["environment"], **secrets)
        merged.update(spec["goldfishEnvironment"])
        self._environment = {encode(name): encode(value) for name, value in merged.items()}
        self._name = name
        self._children = children
        self._groups = cgroups.Groups()
        self._pid = self._report = None
        self._said = b""
        self._streams = ()  # out and err, as long as a sandbox may have to be set up again
        self._refusals = None  # what bubblewrap prints itself: for the log only where the program never began
        self._tries = SANDBOX_TRIES if self._sandbox else 1
        self._told_to_end = False

    def start(self, out, err):
        limits = dict(self._limits)
        if self._sandbox and limits["pids"] is not None:
            limits["pids"] += SANDBOX_PROCESSES
        self._groups = cgroups.make_groups(self._name, limits)
        if self._sandbox:
            self._streams = (os.dup(out), os.dup(err))
            self._refusals = os.memfd_create("refusals")
        self._start(out, err)

    def _start(self, out, err):
        self._tries -= 1
        self._report, report_writer = os.pipe()
        os.set_blocking(self._report, False)
        try:
            argv, options = self._command(report_writer, err)
            options.update(stdout=out, cgroups=self._groups.procs)
            self._pid = self._children.start(argv, self._environment, options)
        finally:
            os.close(report_writer)

    def _command(self, report, err):
        """What is executed, and the options of linux.start: the program itself, or bubblewrap around it."""
        # The kernel's limit is for the whole tree and is seen as OOM; a second, per-process one would hide it.
        memory = None if "memory" in self._groups.limits else self._limits["memory"]
        if not self._sandbox:
            return self._argv, {"cwd": self._cwd, "memory": memory, "drop": True, "stderr": err}
        init = [sys.executable, "-I", "-S", "-B", os.path.join(HERE, "sandbox_init.py")]
        inside = init + [str(report), str(err), str(memory or 0), self._cwd] + self._argv
        return self._sandbox + ["--"] + inside, {"cwd": "/", "keep": (report, err), "stderr": self._refusals}

    def describe(self):
        process = self._pid and {"pid": self._pid, "start": linux.start_time(self._pid)}
        return {"process": process, "groups": self._groups.paths}

    @property
    def started(self):
        return self._pid is not None

    @property
    def ended(self):
        if self._pid is None or self._children.status(self._pid) is None:
            return False
        return not (self._sandbox and self._set_up_again())

    def _set_up_again(self):
        """True when bubblewrap gave up before the program began, and is on its way once more."""
        code, _signal = read_status(self._children.status(self._pid))
        if self._tries == 0 or self._told_to_end or not code or self._read_report():
            return False
        os.write(self._refusals, b"The sandbox could not be set up; it is tried again.\n")
        report = self._report
        try:
            self._start(*self._streams)
        except (linux.StartError, OSError):  # of which the first failure says enough
            self._tries = 0
            return False
        os.close(report)
        return True

    def term(self):
        """False where it cannot be sent yet: a sandbox that is still being set up would swallow it."""
        self._told_to_end = True
        if not self._sandbox:
            linux.send_group(self._pid, signal.SIGTERM)
            linux.send_group(self._pid, signal.SIGCONT)
            return True
        if b'"started"' not in self._read_report():
            return False
        # bubblewrap itself would die of TERM and take everything with it: only its child, sandbox_init, gets it.
        for pid, (parent, _state, _start) in linux.processes().items():
            if parent == self._pid:
                linux.send(pid, signal.SIGTERM)
        return True

    def kill(self):
        self._told_to_end = True
        if self._pid is None:
            return
        linux.send_group(self._pid, signal.SIGKILL)
        for pid in linux.descendants(self._pid, linux.processes()):
            linux.send(pid, signal.SIGKILL)

    def _read_report(self):
        """What sandbox_init has said so far."""
        try:
            self._said += os.read(self._report, 65536)
        except BlockingIOError:
            pass
        return self._said

    def ending(self, asked):
        """Of the program itself, whatever stood around it."""
        status = self._children.status(self._pid)
        if self._sandbox:
            said = {}
            for line in self._read_report().splitlines():
                said.update(json.loads(line))
            if "started" not in said:
                os.write(self._streams[1], os.pread(self._refusals, PAGE_BYTES, 0))
            for descriptor in (*self._streams, self._refusals):
                os.close(descriptor)
            if "error" in said or ("started" not in said and not asked):
                refusal = "The sandbox refused to start it; the log says why."
                return not_started(said.get("error", refusal), said.get("errno"))
            # Without a status of its own the program was killed together with the whole sandbox.
            status = said.get("status", int(signal.SIGKILL))
        code, name = read_status(status)
        # A helper that was killed while the program ended well is not the run's end.
        return Ending(True, code, name, code != 0 and self._groups.oom_kills() > 0, False, None)

    def release(self):
        self._groups.remove()


def read_status(status):
    """(exit code, signal name) of a wait status; one of them is None."""
    if os.WIFSIGNALED(status):
        return None, signal_name(os.WTERMSIG(status))
    return os.WEXITSTATUS(status), None


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIG%d" % number


def encode(text):
    return text.encode("utf-8", "surrogatepass")
