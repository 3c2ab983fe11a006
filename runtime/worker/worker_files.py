"""Files that must be whole, and files that a stage may have put something else in the place of."""

import base64
import hashlib
import os
import shutil
import stat
import subprocess

from bootstrap import BLOCK_BYTES, inner

COMMAND_SECONDS = 300


def write_whole(path, data, mode=0o600):
    """Whoever sees the file sees all of it, after a power cut too."""
    temporary = path + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def open_below(folder, path):
    """A descriptor of a regular file below the folder. Raises OSError where a link, or anything else, is on the way."""
    *above, name = inner(path).split("/")
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for part in above:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = deeper
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("%s is not a regular file" % path)
    return descriptor


def read_below(folder, path, limit):
    """At most so many bytes of it."""
    with os.fdopen(open_below(folder, path), "rb") as file:
        return file.read(limit)


def names_in(folder):
    """None where it cannot be looked into."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def sums(file, check=lambda: None):
    """(size, SHA-256 in hex, MD5 in base64) of an open file, from its start. Leaves it there."""
    file.seek(0)
    strong, weak, size = hashlib.sha256(), hashlib.md5(), 0
    for block in iter(lambda: file.read(BLOCK_BYTES), b""):
        check()
        strong.update(block)
        weak.update(block)
        size += len(block)
    file.seek(0)
    return size, strong.hexdigest(), base64.b64encode(weak.digest()).decode()


def give(path, owner):
    """To the user of the stage, where we may."""
    if os.geteuid() == 0:
        os.chown(path, owner["uid"], owner["gid"], follow_symlinks=False)


def give_tree(path, owner):
    give(path, owner)
    for place, folders, files in os.walk(path):
        for name in folders + files:
            give(os.path.join(place, name), owner)


def remove_tree(path):
    """Whatever a stage has made of it. Links are removed, never followed. Raises OSError where something is left."""
    if not os.path.lexists(path):
        return
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        # Folders that nobody may write to, or nested deeper than a path may be long: the machine's own tools can do it.
        for command in (["chmod", "-R", "u+rwx", "--", path], ["rm", "-rf", "--one-file-system", "--", path]):
            try:
                subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                pass
    if os.path.lexists(path):
        raise OSError("%s cannot be removed" % path)
