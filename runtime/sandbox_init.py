"""Process 1 of a sandboxed attempt: starts the program, passes TERM on to all of it, reports how it truly ended.

`sandbox_init.py STATUS_FD STDERR_FD MEMORY_BYTES CWD PROGRAM [ARGUMENT...]`, executed by bubblewrap, which itself would
turn a death by signal into an exit code. STDERR_FD is the program's standard error: what bubblewrap prints has another
one. One JSON line goes to STATUS_FD when the program runs (or why it does not), one with its wait status when it has
ended. When this process ends the kernel kills whatever else is in the namespace.
"""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wrapper_linux as linux  # noqa: E402


def main():
    report = int(sys.argv[1])
    err = int(sys.argv[2])
    memory = int(sys.argv[3]) or None
    os.set_inheritable(report, False)
    os.dup2(err, 2)
    os.close(err)
    # -1 is everybody in the namespace but this process.
    signal.signal(signal.SIGTERM, lambda *_: linux.send(-1, signal.SIGTERM))
    options = {"cwd": sys.argv[4], "stdout": 1, "stderr": 2, "memory": memory}
    argv = [os.fsencode(word) for word in sys.argv[5:]]
    try:
        program = linux.start(argv, os.environb, options)
    except linux.StartError as error:
        say(report, {"error": str(error), "errno": error.errno})
        return 127
    say(report, {"started": True})
    while True:
        pid, status = os.wait()
        if pid == program:
            say(report, {"status": status})
            return 0


def say(descriptor, document):
    os.write(descriptor, json.dumps(document).encode() + b"\n")


sys.exit(main())
