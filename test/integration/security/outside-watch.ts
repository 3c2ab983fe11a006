import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from '../until.ts';

/** One line per event of the folders it is given: open, read, write, create, delete, move. The kernel's own word. */
const WATCHER = `
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
NAMES = {0x1: "read", 0x2: "write", 0x4: "attributes", 0x20: "open", 0x40: "move", 0x80: "move", 0x100: "create", 0x200: "delete"}
libc.prctl(1, 9)  # it dies with the test
descriptor = libc.inotify_init1(0)
for folder in sys.argv[1:]:
    if libc.inotify_add_watch(descriptor, os.fsencode(folder), sum(NAMES)) < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
print("ready", flush=True)
while True:
    data = os.read(descriptor, 65536)
    while data:
        watch, mask, cookie, size = struct.unpack_from("iIII", data)
        name = data[16 : 16 + size].rstrip(b"\\0").decode() or "."
        for bit, word in NAMES.items():
            if mask & bit:
                print(word, name, flush=True)
        data = data[16 + size :]
`;

export type OutsideWatch = {
  /** What was done to the folders, and what is there now that was not, or is not as it was: nothing, if all is well. */
  complaints(): Promise<string[]>;
  close(): Promise<void>;
};

/**
 * Watches folders that nobody of ours may touch: what is in them must be neither opened, listed, changed, nor given a
 * new name or mode. `sync` is a file in the first of them that only the watch itself writes to.
 */
export async function watchOutside(folders: readonly [string, ...string[]]): Promise<OutsideWatch> {
  const sync = join(folders[0], 'sync');
  appendFileSync(sync, '');
  const before = folders.map(stateOf);
  const child = spawn('python3', ['-c', WATCHER, ...folders], { stdio: ['ignore', 'pipe', 'inherit'] });
  const events: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => void events.push(line));
  await until(() => events.includes('ready'), 'the watch of the outside');
  const written = (): number => events.filter((event) => event === 'write sync').length;
  /** Events come in their order: once this one is there, so are all before it. */
  const flush = async (): Promise<void> => {
    const count = written();
    appendFileSync(sync, '.');
    await until(() => written() > count, 'an event of the watch');
  };
  return {
    complaints: async () => {
      await flush();
      const seen = events.filter((event) => event !== 'ready' && !event.endsWith(' sync'));
      const after = folders.map(stateOf);
      const changed = after.flatMap((state, at) =>
        state === before[at] ? [] : [`now: ${state}, was: ${before[at]}`],
      );
      // Our own look was seen as well.
      await flush();
      events.length = 0;
      return [...new Set(seen), ...changed];
    },
    close: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function stateOf(folder: string): string {
  const entries = readdirSync(folder).filter((name) => name !== 'sync');
  return JSON.stringify(
    entries.sort().map((name) => {
      const path = join(folder, name);
      const stat = lstatSync(path);
      const content = stat.isFile()
        ? readFileSync(path, 'latin1')
        : stat.isSymbolicLink()
          ? readlinkSync(path)
          : '';
      return [name, stat.mode.toString(8), stat.uid, stat.isFile() ? stat.nlink : 0, stat.mtimeMs, content];
    }),
  );
}
