"""Limits for a whole tree of processes: memory, processes and threads, processor time. See cgroups(7).

Both generations are tried, below our own group and, in the second, below its parents. Where the machine lets us make
none, the caller is told so and does what it can without.
"""

import errno
import os
import time

ROOT = "/sys/fs/cgroup"
CPU_PERIOD = 100000


class Groups:
    """The groups around one rank; `limits` names what they limit."""

    def __init__(self):
        self.paths = []
        self.limits = set()
        self._oom_file = None

    @property
    def procs(self):
        return [os.path.join(path, "cgroup.procs") for path in self.paths]

    def add(self, path, limits, oom_file):
        if not limits:
            return
        self.paths.append(path)
        self.limits.update(limits)
        if "memory" in limits:
            self._oom_file = os.path.join(path, oom_file)

    def oom_kills(self):
        """How often the kernel killed one of the tree for want of memory."""
        if self._oom_file is None:
            return 0
        try:
            with open(self._oom_file) as file:
                counts = dict(line.split() for line in file if len(line.split()) == 2)
            return int(counts.get("oom_kill", 0))
        except (OSError, ValueError):
            return 0

    def remove(self):
        for path in self.paths:
            _remove(path)


def make_groups(name, wanted):
    """Groups for what of `wanted` ({memory: bytes, pids: count, cpus: number}, None for no limit) can be limited here."""
    groups = Groups()
    wanted = {limit: value for limit, value in wanted.items() if value is not None}
    if not wanted:
        return groups
    first, second = _own_groups()
    for limit, value in wanted.items():
        controller = "cpu" if limit == "cpus" else limit
        if controller in first:
            path = ROOT + "/" + controller + os.path.join(first[controller], name)
            groups.add(path, _make(path, {limit: _FIRST[limit](value)}), "memory.oom_control")
    missing = {limit: _SECOND[limit](value) for limit, value in wanted.items() if limit not in groups.limits}
    if second is not None and missing:
        _add_second(groups, name, missing, second)
    return groups


def _add_second(groups, name, missing, own):
    """A process is in one group of the second generation: one that limits everything, else one that limits anything."""
    for least in sorted({1, len(missing)}, reverse=True):
        for parent in _parents(own):
            path = os.path.join(parent, name)
            limited = _make(path, missing, least)
            if limited:
                return groups.add(path, limited, "memory.events")


# (file, content, whether the limit holds without it), in the order in which the kernel wants them.
_FIRST = {
    # Without accounting of swap the second file is missing.
    "memory": lambda v: [("memory.limit_in_bytes", v, False), ("memory.memsw.limit_in_bytes", v, True)],
    "pids": lambda v: [("pids.max", v, False)],
    "cpus": lambda v: [("cpu.cfs_period_us", CPU_PERIOD, False), ("cpu.cfs_quota_us", _quota(v), False)],
}
_SECOND = {
    "memory": lambda v: [("memory.max", v, False), ("memory.swap.max", 0, True)],
    "pids": lambda v: [("pids.max", v, False)],
    "cpus": lambda v: [("cpu.max", "%d %d" % (_quota(v), CPU_PERIOD), False)],
}


def _quota(cpus):
    return max(1000, int(cpus * CPU_PERIOD))


def _own_groups():
    """({controller: path} of the first generation, path in the second or None)."""
    first, second = {}, None
    try:
        with open("/proc/self/cgroup") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return first, second
    for _number, controllers, path in lines:
        if controllers:
            first.update((controller, path) for controller in controllers.split(","))
        elif os.path.exists(os.path.join(ROOT, "cgroup.controllers")):
            second = path
    return first, second


def _parents(path):
    """Our own group of the second generation and those above it, nearest first, as far as we may move processes there.

    A group that holds processes cannot hand its controllers to others, so the nearest that works is often a parent.
    """
    while path is not None:
        folder = ROOT + path
        if os.access(os.path.join(folder, "cgroup.procs"), os.W_OK):
            yield folder
        path = os.path.dirname(path) if path not in ("", "/") else None


def _make(path, files, least=1):
    """The limits that hold in a new group; none, and no group, where fewer than `least` do."""
    try:
        os.mkdir(path)
    except OSError:
        return set()
    limited = {limit for limit, contents in files.items() if _set(path, contents)}
    if len(limited) < least:
        os.rmdir(path)
        return set()
    return limited


def _set(path, contents):
    for file, value, dispensable in contents:
        try:
            write(os.path.join(path, file), str(value))
        except OSError:
            if not dispensable:
                return False
    return True


def _remove(path):
    limit = time.monotonic() + 1.0
    while True:
        try:
            return os.rmdir(path)
        except OSError as error:  # busy until the last killed process is gone
            if error.errno != errno.EBUSY or time.monotonic() > limit:
                return None
        time.sleep(0.005)


def write(path, text):
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
