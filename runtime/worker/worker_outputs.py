"""What a finished program has made: its outputs, each with its hash, a folder as a tar archive that is made while it is sent."""

import os
import stat
import tarfile

from bootstrap import inner
from worker_bucket import Conflict
from worker_files import open_below
from worker_http import Away, Refused
from worker_places import ATTEMPT, JOB

BELOW = os.path.relpath(ATTEMPT, JOB) + "/"


class NotSent(Exception):
    """The bucket does not take it."""


class Problem(Exception):
    """It cannot be sent as it is: a sentence about it, without its name."""


def send_outputs(job, bucket, check):
    """(those that are in the bucket, problems of others). What is not there is no problem of ours. Raises NotSent."""
    sent, problems = [], []
    for output in job["outputs"]:
        path = inner(output["path"])
        # The bucket has what is in the folder of the attempt right below the prefix.
        key = job.prefix + (path[len(BELOW) :] if path.startswith(BELOW) else path)
        try:
            place = find(path, output["kind"])
            if place is None:
                continue
            if output["kind"] == "folder":
                key += ".tar"
                size, digest = bucket.put_made(key, lambda archive: pack(place, archive, check), check)
            else:
                with os.fdopen(open_below(JOB, path), "rb") as file:
                    size, digest = bucket.put_file(key, file, check)
            # kill point: job/output-sent
            sent.append({"path": path, "kind": output["kind"], "object": key, "sha256": digest, "size": size})
        except Problem as problem:
            problems.append({"path": path, "message": str(problem)})
        except (Away, Refused, Conflict, OSError) as error:
            raise NotSent("%s could not be sent: %s" % (path, getattr(error, "strerror", None) or error)) from error
    return sent, problems


def find(path, kind):
    """Where it is; None where there is nothing. Raises Problem where it is something else."""
    place = os.path.join(JOB, path)
    if not os.path.lexists(place):
        return None
    if os.path.realpath(place) != os.path.join(os.path.realpath(JOB), path):
        raise Problem("is a link, or lies behind one")
    mode = os.lstat(place).st_mode
    if kind == "folder" and not stat.S_ISDIR(mode):
        raise Problem("is not a folder")
    if kind == "file" and not stat.S_ISREG(mode):
        raise Problem("is not a regular file")
    return place


def pack(folder, archive, check):
    """Into an open file. The same files make the same bytes. Raises Problem for what no archive of ours holds."""
    with tarfile.open(fileobj=archive, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for place, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(folders + files):
                check()
                add(tar, folder, os.path.join(place, name))


def add(tar, folder, place):
    path = os.path.relpath(place, folder)
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise Problem("holds %r, a name that is not UTF-8" % path) from None
    if "\n" in path:
        raise Problem("holds %r, a name with a line break" % path)
    mode = os.lstat(place).st_mode
    member = tarfile.TarInfo(path)
    if stat.S_ISDIR(mode):
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
    elif stat.S_ISLNK(mode):
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, inner_link(folder, place)
        tar.addfile(member)
    elif stat.S_ISREG(mode):
        member.mode = 0o755 if mode & 0o111 else 0o644
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            tar.addfile(member, file)
    else:
        raise Problem("holds %s, which is neither a file nor a folder" % path)


def inner_link(folder, place):
    """Its target as the archive holds it: relative. Raises Problem where it leaves the folder."""
    target = os.readlink(place)
    root = os.path.realpath(folder)
    if os.path.isabs(target):
        target = os.path.relpath(target, os.path.realpath(os.path.dirname(place)))
    if not (os.path.realpath(place) + "/").startswith(root + "/"):
        raise Problem("holds %s, a link that leaves the folder" % os.path.relpath(place, folder))
    return target
