#!/usr/bin/python3
"""The startup script of a rented machine: fetches the worker program, makes sure that it is the right one, becomes it.

It comes alone, so this file imports nothing of ours; the worker program imports what it shares with it from here. Each
step is a line on stdout, which is the machine's serial port. Python >= 3.8, standard library only.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import urllib.parse

# A machine that has not become a worker by then ends itself.
LIMIT_SECONDS = 600.0
# How long a deletion that was asked for may take before the power is switched off.
DELETION_SECONDS = 120.0
CALL_SECONDS = 20.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
BLOCK_BYTES = 1 << 20
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMPUTE = "https://compute.googleapis.com"
# Services that know the machine's account. Whoever else had its token could do what the account may.
TRUSTED = ".googleapis.com"
# Only tests move it. What runs there has no machine of its own, and ends nothing but itself.
MOVED = "GOLDFISH_WORKER_ROOT" in os.environ
ROOT = os.environ.get("GOLDFISH_WORKER_ROOT", "/var/lib/goldfish")


class Unusable(Exception):
    """What came is not what was asked for."""


def main():
    os.umask(0o077)
    os.environ.setdefault("PATH", PATH)
    limit, pause, known = time.monotonic() + patience(LIMIT_SECONDS), SHORTEST_PAUSE, {}
    while True:
        try:
            program = install(known)
            break
        except Exception as error:  # noqa: B902 - whatever it is, another try costs nothing
            say("not yet: %s: %s" % (type(error).__name__, error))
        if time.monotonic() + pause > limit:
            say("gives up")
            return end_machine(known.get("computeEndpoint", COMPUTE))
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)
    say("starts the worker program")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-B", program])


def patience(seconds):
    """How long to wait for what may never come: so long, or as a test says."""
    return float(os.environ.get("GOLDFISH_WORKER_PATIENCE", seconds)) if MOVED else seconds


_ways = [None]


def say_through(hide):
    """Of what is said from now on, hide(text) is said: while a job's secrets are known here. None: it is said as it is."""
    _ways[0] = hide


def say(text):
    hide = _ways[0]
    print("goldfish: %s" % (hide(text) if hide else text).replace("\n", " "), flush=True)


def install(known):
    """The path of the worker program. `known` is given the settings as soon as they are read."""
    known.update(read_settings())
    program = known["program"]
    if not re.match(r"[0-9a-f]{64}\Z", program["sha256"]):
        raise Unusable("the program has no hash")
    home = os.path.join(ROOT, "program")
    folder = os.path.join(home, program["sha256"])
    if not os.path.isdir(folder):
        os.makedirs(home, exist_ok=True)
        say("fetches the worker program %s" % program["sha256"][:12])
        archive, unfinished = folder + ".tar", folder + ".unfinished"
        fetch(known, archive)
        shutil.rmtree(unfinished, ignore_errors=True)
        unpack(archive, unfinished)
        open_to_all(unfinished)
        os.unlink(archive)
        # A folder of this name is taken for whole after a power cut too.
        os.sync()
        os.rename(unfinished, folder)
    return os.path.join(folder, "runtime", "worker", "worker_main.py")


def read_settings():
    settings = json.loads(ask_metadata("instance/attributes/goldfish-worker"))
    if settings["schema"] != 1:
        raise Unusable("the settings are of another version of Goldfish")
    return settings


def fetch(settings, path):
    program = settings["program"]
    key = urllib.parse.quote(settings["bucketPrefix"] + program["object"], safe="")
    place = (settings["storageEndpoint"].rstrip("/"), urllib.parse.quote(settings["bucket"], safe=""), key)
    url = "%s/storage/v1/b/%s/o/%s?alt=media" % place
    digest, size = hashlib.sha256(), 0
    with ask(url, headers=bearer(url)) as answer, open(path, "wb") as file:
        require(answer)
        for block in iter(lambda: answer.read(BLOCK_BYTES), b""):
            digest.update(block)
            size += len(block)
            file.write(block)
    if size != program["size"] or digest.hexdigest() != program["sha256"]:
        raise Unusable("the archive is not what it should be")


# --- asking --------------------------------------------------------------------------------------------------------


def ask(url, method="GET", headers=None, seconds=CALL_SECONDS):
    """The open answer, whatever its status."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=seconds)
    connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), headers=headers or {})
    return connection.getresponse()


def require(answer):
    if answer.status != 200:
        raise Unusable("the answer is HTTP %d" % answer.status)


def metadata_url(path):
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    return "http://%s/computeMetadata/v1/%s" % (host, path)


def ask_metadata(path):
    with ask(metadata_url(path), headers={"Metadata-Flavor": "Google"}) as answer:
        require(answer)
        return answer.read().decode()


def is_trusted(url):
    """Whether the token of the machine's account is for whoever is asked there: Google alone, and never in the clear."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and "@" not in parts.netloc and host.endswith(TRUSTED)


def bearer(url):
    """The header that says who asks."""
    if not is_trusted(url):
        return {}
    token = json.loads(ask_metadata("instance/service-accounts/default/token"))
    return {"Authorization": "Bearer %s" % token["access_token"]}


# --- unpacking -----------------------------------------------------------------------------------------------------


def unpack(archive, folder, check=lambda: None):
    """A tar archive into a folder that is not there yet: files, folders, and links that stay in it.

    Raises Unusable for anything else; the folder may then hold some of it. Who may read is told by the umask, who may
    execute by the archive.
    """
    links = []
    os.mkdir(folder)
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                check()
                target = os.path.join(folder, *inner(member.name).split("/"))
                if member.isdir():
                    os.makedirs(target, exist_ok=True)
                elif member.issym():
                    links.append((member.linkname, target))
                elif member.isreg() and not member.issparse():
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    with open(target, "xb") as file:
                        shutil.copyfileobj(tar.extractfile(member), file, BLOCK_BYTES)
                    os.chmod(target, 0o700 if member.mode & 0o100 else 0o600)
                else:
                    raise Unusable("%r is neither a file nor a folder" % member.name)
        make_links(folder, links)
    except (tarfile.TarError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise Unusable("the archive is damaged: %s" % error) from error


def make_links(folder, links):
    """Last, and none below another: so nothing is ever written through one."""
    root, places = os.path.realpath(folder), {target for _linked, target in links}
    for linked, target in links:
        above = os.path.dirname(target)
        while len(above) > len(folder):
            if above in places:
                raise Unusable("a path leads through the link %r" % above)
            above = os.path.dirname(above)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(linked, target)
    for linked, target in links:
        if os.path.isabs(linked) or not (os.path.realpath(target) + "/").startswith(root + "/"):
            raise Unusable("the link %r leads out of the archive" % linked)


def inner(path):
    """The path again, without a slash at its end. Raises Unusable where it could lead out of the folder it is in."""
    parts = path.rstrip("/").split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Unusable("the path %r leads out" % path)
    return "/".join(parts)


def open_to_all(path):
    """For a container's user to read, and for nobody but us to write. Links are left alone.

    A folder can be written to by its owner, for whoever copies it with its modes has to add to the copy.
    """
    for place, folders, files in os.walk(path, topdown=False):
        for name in files:
            make_readable(os.path.join(place, name))
        for name in folders:
            make_readable(os.path.join(place, name))
    make_readable(path)


def make_readable(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        os.chmod(path, 0o755)
    elif stat.S_ISREG(mode):
        os.chmod(path, 0o555 if mode & 0o100 else 0o444)


# --- the end of the machine ----------------------------------------------------------------------------------------


def end_machine(endpoint, tries=5):
    """Asks for the machine's deletion; whether or not it is answered, the power is off in the end."""
    for number in range(tries):
        try:
            status = ask_for_deletion(endpoint)
            say("asked for its deletion: HTTP %d" % status)
            if status < 300:
                # Whoever deletes it switches it off.
                time.sleep(DELETION_SECONDS)
                break
        except Exception as error:  # noqa: B902 - the power has to go off whatever happens here
            say("could not ask for its deletion: %s: %s" % (type(error).__name__, error))
        time.sleep(min(LONGEST_PAUSE, SHORTEST_PAUSE * 2**number))
    power_off()


def ask_for_deletion(endpoint):
    project, name = ask_metadata("project/project-id"), ask_metadata("instance/name")
    zone = ask_metadata("instance/zone").rsplit("/", 1)[-1]
    names = tuple(urllib.parse.quote(word, safe="") for word in (project, zone, name))
    url = endpoint.rstrip("/") + "/compute/v1/projects/%s/zones/%s/instances/%s" % names
    with ask(url, "DELETE", bearer(url)) as answer:
        return answer.status


def power_off():
    say("switches itself off")
    if MOVED:
        os._exit(0)
    for command in (["systemctl", "poweroff"], ["shutdown", "-h", "now"], ["poweroff", "-f"]):
        try:
            if subprocess.call(command, stdin=subprocess.DEVNULL) == 0:
                return
        except OSError:
            continue


if __name__ == "__main__":
    main()
