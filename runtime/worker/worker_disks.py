"""The data disks of the machine: formatted where they are new, mounted, and handed to each job empty."""

import os
import subprocess

from bootstrap import say
from worker_files import give, remove_tree
from worker_machine import COMMAND_SECONDS, run
from worker_places import DEVICES, DISKS

FORMAT_SECONDS = 600
# blkid's word for a disk on which it finds nothing at all.
NO_FILE_SYSTEM = 2


class DiskTrouble(Exception):
    """A data disk that cannot be used."""


def mount_disks(names):
    """Each at its place. One that holds anything is never formatted."""
    for name in names:
        device, place = os.path.join(DEVICES, "google-%s" % name), os.path.join(DISKS, name)
        if not os.path.exists(device):
            raise DiskTrouble("the disk %s is not there" % name)
        os.makedirs(place, mode=0o755, exist_ok=True)
        if os.path.ismount(place):
            continue
        # Low-level probing: what a cache knows may be of another disk.
        probed = run(["blkid", "-p", "-o", "value", "-s", "TYPE", device], COMMAND_SECONDS)
        if probed.returncode == NO_FILE_SYSTEM:
            say("formats the disk %s" % name)
            must(["mkfs.ext4", "-q", "-m", "0", device], FORMAT_SECONDS)
        elif probed.returncode != 0 or not probed.stdout.strip():
            raise DiskTrouble("nobody can say what is on the disk %s" % name)
        must(["mount", "-o", "discard,defaults", device, place], COMMAND_SECONDS)


def must(command, seconds):
    try:
        if run(command, seconds).returncode == 0:
            return
    except (OSError, subprocess.TimeoutExpired):
        pass
    raise DiskTrouble("%s failed" % command[0])


def hand_out_disks(owner):
    """To one job: an empty folder of each disk, not the disk itself, whose own folders are not the stage's to change."""
    wipe_disks()
    for folder in job_folders():
        os.mkdir(folder, 0o700)
        give(folder, owner)


def wipe_disks():
    """Raises OSError where something of a job is left on one."""
    for folder in job_folders():
        remove_tree(folder)


def job_folders():
    names = sorted(os.listdir(DISKS)) if os.path.isdir(DISKS) else []
    return [os.path.join(DISKS, name, "stage") for name in names]
