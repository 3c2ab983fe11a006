import { cpSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assetPath } from '../../../src/core/assets.ts';

const MARKER = /^([ \t]*)# kill point: ([a-z-]+\/[a-z-]+)$/gm;

/** The wrapper gets no environment of ours, so what is wanted stands in the module itself. */
const MODULE = `import http.client, json, os, signal, socket, sys, time
at, record, victim, passes = AT, RECORD, VICTIM, {}
def here(name):
    passes[name] = passes.get(name, 0) + 1
    if at.get(name) != passes[name]:
        return
    try:
        os.close(os.open(os.path.join(record, name.replace("/", ".")), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return
    {"run wrapper": end_us, "stage": end_stage, "container": end_container}[victim]()

def end_us():
    os.kill(os.getpid(), signal.SIGKILL)

def spec():
    with open(os.path.join(sys.argv[-1], "spec.json")) as file:
        return json.load(file)

def end_stage():
    mark = ("GOLDFISH_RUN_ID=" + spec()["runId"]).encode()
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        found = [pid for pid in os.listdir("/proc") if pid.isdigit() and is_program(pid, mark)]
        for pid in found:
            os.kill(int(pid), signal.SIGKILL)
        if found:
            return
        time.sleep(0.02)
    raise RuntimeError("no program of the run was found")

def is_program(pid, mark):
    try:
        with open("/proc/%s/environ" % pid, "rb") as file:
            marked = mark in file.read().split(b"\\0")
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            words = file.read()
        return marked and b"container_init" not in words and b"sandbox_init" not in words
    except OSError:
        return False

class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)

def end_container():
    for rank in spec()["ranks"]:
        program = rank["program"]
        engine = Engine(program["engine"][len("unix://"):])
        engine.request("DELETE", "/containers/%s?force=true" % program["container"], headers={"Host": "engine"})
        answer = engine.getresponse()
        if answer.status != 204:
            raise RuntimeError("the container stays: %d" % answer.status)
        engine.close()
`;

/**
 * A copy of runtime/ in which the markers kill the run wrapper, as hook.ts has it of the other programs, or have it kill
 * what it executes: the stage's program, or its container.
 */
export function copyRuntime(
  to: string,
  kill: { at: Readonly<Record<string, number>>; record: string; victim: string },
): void {
  const module = MODULE.replace('AT', JSON.stringify(kill.at))
    .replace('RECORD', JSON.stringify(kill.record))
    .replace('VICTIM', JSON.stringify(kill.victim));
  copyMarked(to, { files: '*.py', module });
}

/** A copy of runtime/ in which markers of `files` are calls of `here(name)`, which `module` defines. */
export function copyMarked(to: string, { files, module }: { files: string; module: string }): void {
  cpSync(assetPath('runtime'), to, { recursive: true, filter: (path) => !path.includes('__pycache__') });
  for (const name of globSync(files, { cwd: to })) {
    const file = join(to, name);
    const text = readFileSync(file, 'utf8');
    const call = (_: string, indent: string, point: string): string =>
      `${indent}__import__("kill_point").here("${point}")`;
    writeFileSync(file, text.replaceAll(MARKER, call));
  }
  writeFileSync(join(to, 'kill_point.py'), module);
}
