import { LONG } from '../kit/outcome.ts';
import type { Stage } from './stage-project.ts';

const LIMIT_REACHED = 'The run reached its time limit and was stopped.';

/** Programs that misbehave, and how each must end. */
export type Program = Stage & {
  cause: string;
  /** Null where a signal ended it. */
  exitCode: number | null;
  /** One of them, where it is not the program that decides. */
  signals?: readonly string[];
  /** Of one that ended badly. */
  message?: string;
  /** What the kernel must let the run wrapper limit for it, where it runs without a container. */
  limit?: 'pids' | 'memory';
};

/** The short one is a little more than is kept of a log: each line becomes a record of 156 bytes. */
export const FLOOD_BYTES = (LONG ? 1024 : 108) << 20;
export const FLOOD_LINE = 128;
export const METRIC_LINES = LONG ? 1_000_000 : 100_000;
/** Names of endless sleeps, by which they are found whatever else they did to hide. */
export const MARK = `8640${process.pid}`;

const MAKE = `import json, os
with open(os.environ["GOLDFISH_CONFIG"]) as file:
    for output in json.load(file)["outputs"].values():
        with open(output["path"], "w") as made:
            made.write("made")
`;

export const PROGRAMS: Readonly<Record<string, Program>> = {
  // Everything it makes goes on making more.
  bomb: {
    cause: 'timeout',
    exitCode: null,
    // It may not come to hear the first within its second of grace.
    signals: ['SIGTERM', 'SIGKILL'],
    message: LIMIT_REACHED,
    limit: 'pids',
    compute: 'profile: few, timeout_seconds: 4',
    code: `import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.2)
`,
  },
  hog: {
    cause: 'oom',
    exitCode: null,
    signals: ['SIGKILL'],
    message: 'The kernel killed the program for its use of memory.',
    limit: 'memory',
    compute: 'memory: 100m',
    code: 'kept = []\nwhile True:\n    kept.append(bytearray(b"x") * (4 << 20))\n',
  },
  flood: {
    cause: 'success',
    exitCode: 0,
    code: `import sys
for first in range(0, ${FLOOD_BYTES / FLOOD_LINE}, 512):
    sys.stdout.write("".join("%0${FLOOD_LINE - 1}d\\n" % n for n in range(first, first + 512)))
`,
  },
  deaf: {
    cause: 'timeout',
    exitCode: null,
    signals: ['SIGKILL'],
    message: LIMIT_REACHED,
    // Longer than an interpreter takes to start on a busy machine: before that it hears TERM.
    compute: 'timeout_seconds: 12',
    code: `import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(60)
`,
  },
  counter: {
    cause: 'success',
    exitCode: 0,
    code: `import json, os
with open(os.environ["GOLDFISH_CONTROL"] + "/metrics.jsonl", "a") as file:
    for step in range(${METRIC_LINES}):
        file.write('{"name": "loss", "step": %d, "value": %d}\\n' % (step, step))
`,
  },
  // A grandchild; a session of its own; one that has neither a name of the run nor a parent any more.
  parent: {
    cause: 'exit_nonzero',
    exitCode: 7,
    message: 'The program ended with exit code 7.',
    limit: 'pids',
    compute: 'profile: few',
    code: `import os, subprocess, sys
sleep = ["sleep", "${MARK}"]
subprocess.Popen(["/bin/sh", "-c", "sleep ${MARK} & exec sleep ${MARK}"])
subprocess.Popen(sleep, start_new_session=True)
subprocess.Popen(sleep, start_new_session=True, env={}, cwd="/", executable="/bin/sleep")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        for descriptor in range(256):
            try:
                os.close(descriptor)
            except OSError:
                pass
        os.execve("/bin/sleep", sleep, {})
    os._exit(0)
os.wait()
sys.exit(7)
`,
  },
  // Takes away all that Goldfish hears of it by, and does its work.
  vandal: {
    cause: 'success',
    exitCode: 0,
    outputs: 'made: file',
    code: `import os, shutil
control = os.environ["GOLDFISH_CONTROL"]
open(control + "/heartbeat", "w").close()
shutil.rmtree(control, ignore_errors=True)
os.close(1)
os.close(2)
${MAKE}`,
  },
};
