"""Keeps containers from the metadata server, whose token may do whatever the machine's account may.

By one rule of the kernel's. What comes out of a container passes the table `raw` before any other, whatever rules the
engine has and makes anew; what the machine itself asks for does not. So the rule holds for every network of the engine.
"""

import subprocess

from worker_machine import run

ADDRESS = "169.254.169.254"
# Names of hosts are asked for at the same address.
RULE = ["PREROUTING", "-d", ADDRESS, "-p", "tcp", "!", "--dport", "53", "-j", "DROP"]
# With a patience of its own for others that change rules.
IPTABLES = ["iptables", "-w", "20", "-t", "raw"]
COMMAND_SECONDS = 30


class Unguarded(Exception):
    """There is no such rule, and none can be put there; the text says why."""


def guard_metadata():
    """Looks for the rule, puts it there where it is not, and looks again. Raises Unguarded."""
    if not try_rule("-C"):
        try_rule("-I")
        if not try_rule("-C"):
            raise Unguarded("iptables does not keep the rule for it")


def try_rule(verb):
    try:
        return run(IPTABLES + [verb] + RULE, COMMAND_SECONDS).returncode == 0
    except FileNotFoundError:
        raise Unguarded("iptables is not installed") from None
    except (OSError, subprocess.TimeoutExpired):
        return False


def has_network(body):
    """Whether a container has one: it must say clearly that it has none, or shares that of another one of its job."""
    mode = (body.get("HostConfig") or {}).get("NetworkMode") or ""
    return mode != "none" and not mode.startswith("container:")
