#!/usr/bin/python3
"""The first process of a machine that is a container: its init and its guest agent.

Starts the container engine, then what the metadata attribute `startup-script` says. What is printed here, and by the script,
is on the serial port. SIGTERM is the power button; `poweroff` sends it too. With this process the machine is off.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

# Written before each boot: environment of everything on the machine.
ENVIRONMENT = "/etc/machine.json"
SCRIPT = "/var/lib/machine/startup-script"
ENGINE_DATA, ENGINE_LOG = "/var/lib/docker", "/var/log/dockerd.log"
CGROUPS = "/sys/fs/cgroup"
BRIDGE = "docker0"
# How long they may take to end before the power is off all the same.
SCRIPT_SECONDS, ENGINE_SECONDS = 90.0, 15.0
METADATA_SECONDS, LOOK_SECONDS, IDLE_SECONDS = 20.0, 0.05, 1.0
SHOWN_BYTES = 2000


class PowerButton(Exception):
    pass


def press(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise PowerButton


def main():
    # A signal that nobody waits for does not reach a first process.
    signal.signal(signal.SIGTERM, press)
    engine = script = None
    try:
        say("boots")
        with open(ENVIRONMENT) as file:
            os.environ.update(json.load(file))
        engine = start_engine()
        content = fetch_script()
        if content is None:
            say("has no startup-script")
        else:
            script = start_script(content)
        watch(engine, script)
    except PowerButton:
        say("shuts down")
        end(script, SCRIPT_SECONDS)
        end(engine, ENGINE_SECONDS)
    say("is off")


def say(text):
    print("machine: %s" % text, flush=True)


# --- the start-up script -----------------------------------------------------------------------------------------


def fetch_script():
    """None where there is none. The server may come up after the machine."""
    while True:
        try:
            connection = http.client.HTTPConnection(os.environ["GCE_METADATA_HOST"], timeout=METADATA_SECONDS)
            path = "/computeMetadata/v1/instance/attributes/startup-script"
            connection.request("GET", path, headers={"Metadata-Flavor": "Google"})
            answer = connection.getresponse()
            if answer.status == 404:
                return None
            if answer.status == 200:
                return answer.read()
            say("the metadata server answers with HTTP %d" % answer.status)
        except (OSError, http.client.HTTPException) as error:
            say("the metadata server does not answer: %s" % error)
        time.sleep(IDLE_SECONDS)


def start_script(content):
    os.makedirs(os.path.dirname(SCRIPT), mode=0o700, exist_ok=True)
    with open(SCRIPT, "wb") as file:
        file.write(content)
    os.chmod(SCRIPT, 0o700)
    # Its first line says what it is written in.
    command = [SCRIPT] if content.startswith(b"#!") else ["/bin/sh", SCRIPT]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True)


# --- the container engine ----------------------------------------------------------------------------------------


def start_engine():
    open_cgroups()
    options = ["--storage-driver=%s" % storage_driver(), "--iptables=false", "--ip6tables=false"]
    options += ["--ip-forward=false", "--ip-masq=false"]
    # The network is that of the host, whose engine may have a bridge there. Told that there is none, this one would remove it.
    if all(name != BRIDGE for _number, name in socket.if_nameindex()):
        options.append("--bridge=none")
    # Told that it is in a container, it leaves alone what only the host may set.
    environment = dict(os.environ, container="docker")
    with open(ENGINE_LOG, "ab") as log:
        return subprocess.Popen(
            ["dockerd"] + options,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


def storage_driver():
    """overlay2 cannot lie on an overlay."""
    kind = subprocess.check_output(["stat", "-f", "-c", "%T", ENGINE_DATA]).decode()
    return "vfs" if "overlay" in kind else "overlay2"


def open_cgroups():
    """What a container sees of them is its own part, in which it may change nothing until it says so."""
    with open("/proc/self/mounts") as file:
        mounts = [line.split()[1:3] for line in file]
    for place, kind in mounts:
        if kind in ("cgroup", "cgroup2"):
            if subprocess.call(["mount", "-o", "remount,bind,rw", place]) != 0:
                say("%s stays as it is" % place)
    if os.path.exists(os.path.join(CGROUPS, "cgroup.controllers")):
        hand_on_controllers()


def hand_on_controllers():
    """In version 2 only a part without processes of its own can hand controllers on to parts of it."""
    own = os.path.join(CGROUPS, "init")
    os.makedirs(own, exist_ok=True)
    for pid in read(os.path.join(CGROUPS, "cgroup.procs")).split():
        write(os.path.join(own, "cgroup.procs"), pid)
    names = read(os.path.join(CGROUPS, "cgroup.controllers")).split()
    write(os.path.join(CGROUPS, "cgroup.subtree_control"), " ".join("+" + name for name in names))


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


# --- processes ---------------------------------------------------------------------------------------------------


def watch(engine, script):
    """For ever. Whatever has lost its parent is reaped here too."""
    while True:
        ended = reap()
        if ended is None:
            time.sleep(IDLE_SECONDS)
            continue
        pid, status = ended
        if script is not None and pid == script.pid:
            say("startup-script exit status %d" % os.waitstatus_to_exitcode(status))
        if pid == engine.pid:
            with open(ENGINE_LOG, "rb") as file:
                say("the container engine has ended: %s" % file.read()[-SHOWN_BYTES:].decode("utf-8", "replace"))


def reap(options=0):
    """(pid, status) of a child that has ended; None where none has, or where there is none."""
    try:
        pid, status = os.waitpid(-1, options)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def end(process, seconds):
    """Asks it and what it has started beside it to end, and waits until they have."""
    if process is None or not send(process, signal.SIGTERM):
        return
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        while reap(os.WNOHANG):
            pass
        if not send(process, 0):
            return
        time.sleep(LOOK_SECONDS)


def send(process, number):
    """Whether anybody of its group is there."""
    try:
        os.killpg(process.pid, number)
        return True
    except ProcessLookupError:
        return False


if __name__ == "__main__":
    main()
