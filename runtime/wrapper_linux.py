"""What the run wrapper asks of the kernel: starting a program, finding and ending its descendants.

Python >= 3.8, standard library only. Everything here is Linux; paths under /proc are described in proc(5).
"""

import ctypes
import errno
import os
import resource
import signal
import time

from wrapper_cgroups import write

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
# Capabilities a root-owned stage keeps: CHOWN and FOWNER so that tar and cp work, DAC_READ_SEARCH so that a project
# in somebody's private home can be read. Without DAC_OVERRIDE a read-only input is read-only for root too.
KEPT_CAPABILITIES = (0, 2, 3)

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option, value):
    """prctl(2) with one argument; False where the kernel refuses."""
    return _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0


class StartError(Exception):
    """The program could not be started; the text is a sentence for the user, `errno` the name of the system's error."""

    def __init__(self, sentence, error=None):
        super().__init__(sentence)
        self.errno = errno_name(error)


def start(argv, environment, options):
    """Forks and executes argv (bytes) as the leader of a session and process group of its own; returns its pid.

    options: cwd, stdout, stderr (descriptors), memory (bytes for RLIMIT_DATA or None), keep (descriptors it inherits),
    drop (give up capabilities), cgroups (paths of cgroup.procs files).
    Raises StartError, after the child is reaped, when it never became the program.
    """
    parent = os.getpid()
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        try:
            _become(parent, argv, environment, options)
        except StartError as error:
            tell(writer, error.errno, str(error))
        except BaseException as error:  # noqa: B902 - nothing may return into the parent's code after a fork
            tell(writer, errno_name(error), "The program could not be started: %s." % error)
        os._exit(127)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:  # EOF comes with the execve: the writer is close-on-exec
        failure = pipe.read()
    if failure:
        os.waitpid(pid, 0)
        name, _, sentence = failure.decode("utf-8", "replace").partition(" ")
        raised = StartError(sentence)
        raised.errno = name if name != "-" else None
        raise raised
    return pid


def tell(descriptor, name, sentence):
    os.write(descriptor, ("%s %s" % (name or "-", sentence)).encode("utf-8", "replace"))


def errno_name(error):
    """`ENOENT`; None where the system said nothing."""
    return errno.errorcode.get(getattr(error, "errno", None))


def _become(parent, argv, environment, options):
    signal.set_wakeup_fd(-1)
    os.setsid()
    # The kernel kills the program when the wrapper dies; a wrapper that died before this line is seen by the check.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(127)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for procs in options.get("cgroups", ()):
        write(procs, str(os.getpid()))
    _prefer_for_oom()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(options["stdout"], 1)
    os.dup2(options["stderr"], 2)
    for descriptor in options.get("keep", ()):
        os.set_inheritable(descriptor, True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if options.get("memory"):
        resource.setrlimit(resource.RLIMIT_DATA, (options["memory"], options["memory"]))
    try:
        os.chdir(options["cwd"])
    except OSError as error:
        raise StartError("The code folder could not be entered: %s." % error.strerror, error) from error
    if options.get("drop"):
        drop_privileges()
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        there = b"/" in argv[0] and os.path.exists(argv[0])
        raise StartError(start_sentence(argv[0].decode("utf-8", "replace"), error, there), error) from error


def start_sentence(program, error, there):
    """`there`: whether a file of this path exists, although it cannot be found."""
    name = '"%s"' % program[:200]
    if error.errno == errno.ENOENT:
        if there:
            return "%s cannot run: the interpreter in its first line is not there." % name
        return "The program %s was not found." % name
    if error.errno == errno.EACCES:
        return "%s is not an executable file, or may not be executed." % name
    if error.errno == errno.ENOEXEC:
        return "%s is not a program: it has no #! line." % name
    if error.errno == errno.E2BIG:
        return "The arguments and environment values together are too large."
    return "%s could not be started: %s." % (name, error.strerror)


def drop_privileges():
    """No setuid programs, and for root only the harmless capabilities. Refusals of the kernel are accepted."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0:
        for capability in range(64):
            if capability not in KEPT_CAPABILITIES:
                prctl(PR_CAPBSET_DROP, capability)


def _prefer_for_oom():
    """When memory runs out the kernel should take the stage, not the supervisor or the shell beside it."""
    try:
        write("/proc/self/oom_score_adj", "500")
    except OSError:
        pass


def boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def processes():
    """{pid: (parent, state, start)}; `start` is field 22 of /proc/PID/stat as text."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(name)
            if stat:
                table[int(name)] = stat
    return table


def _stat(pid):
    try:
        with open("/proc/%s/stat" % pid, "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The second field is the command in parentheses and may hold anything, so count from the last one.
    fields = text[text.rfind(b")") + 2 :].split()
    return (int(fields[1]), fields[0].decode(), fields[19].decode()) if len(fields) > 19 else None


def start_time(pid):
    stat = _stat(pid)
    return stat[2] if stat else ""


def descendants(root, table):
    """Pids below root that are not dead, nearest first."""
    children = {}
    for pid, (parent, _state, _start) in table.items():
        children.setdefault(parent, []).append(pid)
    found, queue = [], list(children.get(root, ()))
    while queue:
        pid = queue.pop(0)
        queue.extend(children.get(pid, ()))
        if table[pid][1] not in "ZX":
            found.append(pid)
    return found


def carrying(mark, table):
    """Pids whose environment holds every entry of mark (`NAME=value` as bytes). Others' processes are unreadable."""
    found = []
    for pid in table:
        try:
            with open("/proc/%d/environ" % pid, "rb") as file:
                entries = file.read().split(b"\0")
        except OSError:
            continue
        if all(entry in entries for entry in mark):
            found.append(pid)
    return found


def kill_all(mark, reap, seconds=5.0):
    """KILLs everything below this process, and whatever carries the mark, until nothing is left; True when so.

    Children of daemons come back to us (child subreaper), so the tree is complete; the mark is for what left it.
    """
    limit = time.monotonic() + seconds
    mine = os.getpid()
    while True:
        reap()
        table = processes()
        targets = set(descendants(mine, table))
        targets.update(pid for pid in carrying(mark, table) if table[pid][1] not in "ZX")
        targets.discard(mine)
        if not targets:
            return True
        for pid in targets:
            send(pid, signal.SIGKILL)
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)


def send(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        pass


def send_group(group, number):
    try:
        os.killpg(group, number)
    except OSError:
        pass
