"""Where things are on a machine. The same stands in src/backends/gce/machine-places.ts; a test compares the two."""

import os

from bootstrap import MOVED, ROOT

# Removed whole between two jobs.
JOB = os.path.join(ROOT, "job")
ATTEMPT = os.path.join(JOB, "attempt")
CODE = os.path.join(JOB, "code")
INPUTS = os.path.join(JOB, "inputs")
CHECKPOINTS = os.path.join(JOB, "checkpoints")
# Archives before they are unpacked.
PASSING = os.path.join(JOB, "passing")

# Data disks, each below its name; what a job sees of one is the folder "stage" in it.
DISKS = os.path.join(ROOT, "disks")

# What the machine remembers over a reboot.
STATE = os.path.join(ROOT, "state.json")
LIVED = os.path.join(ROOT, "lived")
LOCK = os.path.join(ROOT, "lock")
KEY_FOLDER = os.path.join(ROOT, "key-folder")

DEVICES = os.path.join(ROOT, "devices") if MOVED else "/dev/disk/by-id"
ENGINE = os.environ.get("GOLDFISH_WORKER_ENGINE", "unix:///var/run/docker.sock")
WRAPPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "run_wrapper.py")
