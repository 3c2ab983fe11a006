"""The worker program: it is told of jobs, claims them, executes them one after the other, and leaves by itself.

    python3 -I -S -B worker_main.py

What it must do is told by the machine's metadata (machineSettingsSchema of src/backends/gce/job-document.ts) and by
objects of the bucket (src/pool/documents.ts). README.md here says how. Python >= 3.8, standard library only.
"""

import fcntl
import os
import signal
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
from bootstrap import PATH, ROOT, read_settings, say  # noqa: E402
from worker_loop import Worker  # noqa: E402
from worker_parts import LOOK_SECONDS, Leaving  # noqa: E402
from worker_places import LOCK  # noqa: E402


def main():
    os.umask(0o077)
    os.environ.setdefault("PATH", PATH)
    os.makedirs(ROOT, exist_ok=True)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # As long as this process lives. Two of them would each take the other for an earlier boot.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("the worker program runs already")
        return
    spare_from_oom()
    worker = Worker(patient_settings())
    signal.signal(signal.SIGTERM, worker.on_term)
    # Through what takes secrets out, as everything that is said.
    threading.excepthook = lambda failed: say("".join(traceback.format_exception(*failed[:3])))
    try:
        worker.run()
    except Leaving as leaving:
        why = leaving.why
    except Exception:  # noqa: B902 - a machine that does nothing costs as much as one that works
        say(traceback.format_exc())
        why = "failed"
    worker.leave(why)


def patient_settings():
    """The bootstrap has just read them, so they are there."""
    while True:
        try:
            return read_settings()
        except Exception as error:  # noqa: B902 - the metadata server answers in the end
            say("has no settings yet: %s: %s" % (type(error).__name__, error))
        time.sleep(LOOK_SECONDS)


def spare_from_oom():
    """When memory runs out, a stage is to be taken and not its supervisor."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("-900")
    except OSError:
        pass


if __name__ == "__main__":
    main()
