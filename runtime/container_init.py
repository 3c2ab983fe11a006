"""Process 1 of a container that runs a stage: hands over the secrets, passes TERM on to everybody, says how it ended.

    python3 -I -S -B /goldfish/container_init.py -- PROGRAM [ARGUMENT...]

Alone in the container, so this file imports nothing of ours. stdin carries one JSON line, {"nonce": HEX, "secrets":
{NAME: VALUE}}. stdout carries, beside what the program prints, our records: the byte 1E, the nonce, a space, JSON, a
newline. The first says that the program runs or why it does not, the last how it ended; nothing is printed after it.
The program cannot forge them: it never sees the nonce, for the line is read before it starts and this process cannot
be looked into. Python >= 3.6, standard library only.
"""

import ctypes
import errno
import json
import os
import signal
import sys

PR_SET_DUMPABLE = 4
RECORD = b"\x1e"
# How often the kernel killed for want of memory, by both generations of control groups as a container sees its own.
MEMORY_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
DEFAULT_SIGNALS = ("SIGPIPE", "SIGXFSZ", "SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD")


def main():
    if os.getpid() != 1:
        # It ends everybody it can reach: only as the first process of a container is that what is meant.
        sys.stderr.write("container_init.py runs as process 1 of a container only\n")
        return 125
    # Before the secrets are here: nobody may read our memory, the program is the same user.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    asked = Asked()
    signal.signal(signal.SIGTERM, asked.on_term)
    argv = [os.fsencode(word) for word in sys.argv[sys.argv.index("--") + 1 :]]
    try:
        nonce, secrets = read_line()
    except (ValueError, KeyError, AttributeError, TypeError):
        sys.stderr.write("whoever started this container did not say what it needs to know\n")
        return 125
    environment = dict(os.environb)
    environment.update(secrets)
    killed_before = memory_kills()
    program, failure = start(argv, environment)
    if failure:
        say(nonce, failure)
        return 127
    say(nonce, {"started": True})
    asked.pass_on()
    status = wait_for(program)
    end_all()
    say(nonce, {"status": status, "terminated": asked.terminated, "oom": memory_kills() > killed_before})
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class Asked:
    """TERM to process 1 means everybody."""

    def __init__(self):
        self.terminated = False
        self._running = False

    def on_term(self, *_):
        self.terminated = True
        if self._running:
            send_all(signal.SIGTERM)

    def pass_on(self):
        """From now on there is somebody; what came before is passed on now."""
        self._running = True
        if self.terminated:
            send_all(signal.SIGTERM)


def read_line():
    """The line, then nothing: the program's stdin is empty, and ours is gone."""
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            raise ValueError("cut short")
        data += part
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    document = json.loads(data.decode())
    secrets = {encode(str(name)): encode(str(value)) for name, value in document["secrets"].items()}
    return document["nonce"].encode(), secrets


def start(argv, environment):
    """(pid, None), or (None, why not) once it is clear that the program never ran."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become(argv, environment)
        except OSError as error:
            # What is there under the name tells a missing interpreter from a missing program.
            there = error.errno == errno.ENOENT and b"/" in argv[0] and os.path.exists(argv[0])
            name = argv[0].decode("utf-8", "replace")
            os.write(writer, json.dumps({"errno": error.errno, "program": name, "there": there}).encode())
        os._exit(127)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:  # EOF comes with the execve: the writer is close-on-exec
        failure = pipe.read()
    if not failure:
        return pid, None
    os.waitpid(pid, 0)
    return None, json.loads(failure.decode())


def become(argv, environment):
    os.setsid()
    for name in DEFAULT_SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        # When memory runs out the kernel should take the program (the engine gives both of us 500): we say how it ended.
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("700")
    except OSError:
        pass
    os.execvpe(argv[0], argv, environment)


def wait_for(program):
    """Reaps everybody until it was the program's turn."""
    while True:
        pid, status = os.wait()
        if pid == program:
            return status


def memory_kills():
    """0 where that is not to be seen. The engine has the number too, but not where it hears of the end before."""
    for file in MEMORY_EVENTS:
        try:
            with open(file) as lines:
                return int(dict(line.split() for line in lines)["oom_kill"])
        except (OSError, ValueError, KeyError):
            pass
    return 0


def end_all():
    """Helpers that remain, until nobody is left: the last record is to be the last word."""
    while True:
        send_all(signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def send_all(number):
    """To everybody in the container but us."""
    try:
        os.kill(-1, number)
    except OSError:
        pass


def say(nonce, document):
    data = RECORD + nonce + b" " + json.dumps(document).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def encode(text):
    return text.encode("utf-8", "surrogatepass")


if __name__ == "__main__":
    # Not sys.exit: what Python would do on the way out is not worth a wrong exit code.
    os._exit(main())
