import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { HAS_BUBBLEWRAP, NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';

/** Prints, for each path, what became of reading, listing and writing it. */
const TRY = `
import os, sys
for path in sys.argv[1:]:
    did = []
    try: open(path).read(); did.append('read')
    except OSError: pass
    try: did.append('list %d' % len(os.listdir(path)))
    except OSError: pass
    try: open(path + ('/new' if os.path.isdir(path) else ''), 'a').write('x'); did.append('write')
    except OSError: pass
    print(os.path.basename(path), *did)
`;

describe.skipIf(!HAS_BUBBLEWRAP)(`a stage in bubblewrap${NEEDS_BUBBLEWRAP}`, () => {
  let h: Harness;
  beforeAll(async () => {
    h = await openHarness('auto');
  });
  afterAll(() => h.close());

  const attempts = async (...paths: string[]): Promise<string[]> => {
    const { handle, result } = await h.run({ command: ['python', '-c', TRY, ...paths] });
    expect(result.exitCode).toBe(0);
    return h.log(handle);
  };

  it('sees nothing of the project, of other runs and of temporary files', async () => {
    const other = h.layout.attempt('stage-aaaaaaaaaaaa', 1);
    await mkdir(other.outputs, { recursive: true });
    await writeFile(join(other.outputs, 'result'), 'theirs');
    await writeFile(join(h.layout.root, '.env'), 'TOKEN=secret');
    await mkdir(h.layout.slot('w1'), { recursive: true });
    await writeFile(join(h.layout.slot('w1'), 'edited.py'), 'x');
    await writeFile(h.layout.database, 'x');
    const seen = await attempts(
      join(h.layout.root, '.env'),
      join(h.layout.slot('w1'), 'edited.py'),
      h.layout.database,
      join(other.outputs, 'result'),
      h.layout.slots,
      tmpdir(),
    );
    expect(seen.slice(0, 5)).toEqual(['.env', 'edited.py', 'goldfish.db', 'result', 'workspaces']);
    expect(await readFile(join(other.outputs, 'result'), 'utf8')).toBe('theirs');
  });

  it('writes to its own folders only', async () => {
    await writeFile(join(h.codeDir, 'code.py'), 'x = 1');
    const spec = await h.spec();
    const own = h.layout.attempt(spec.runId, 1);
    const { handle } = await h.run({
      runId: spec.runId,
      command: [
        'python',
        '-c',
        TRY,
        own.outputs,
        own.control,
        own.temp,
        own.checkpoints,
        own.config,
        h.codeDir,
        join(h.codeDir, 'code.py'),
        '/etc',
        '/usr/bin',
        h.layout.stateDir,
        h.layout.root,
      ],
    });
    expect(await h.log(handle)).toEqual([
      'outputs list 0 write',
      'control list 0 write',
      'tmp list 0 write',
      'checkpoints list 0 write',
      'config.json read',
      expect.stringMatching(/^0123abcd list \d+$/),
      'code.py read',
      expect.stringMatching(/^etc list \d+$/),
      expect.stringMatching(/^bin list \d+$/),
      expect.stringMatching(/^\.goldfish list \d+$/),
      expect.stringMatching(/^project list \d+$/),
    ]);
    expect(await readFile(join(h.codeDir, 'code.py'), 'utf8')).toBe('x = 1');
  });

  it('sees no other process, and no more of itself than its own', async () => {
    const secret = spawn('sleep', ['60'], { env: { TOKEN: 'theirs' }, stdio: 'ignore' });
    try {
      const { handle } = await h.run({
        command: ['python', '-c', 'import os; print(sorted(p for p in os.listdir("/proc") if p.isdigit()))'],
      });
      expect(await h.log(handle)).toEqual(["['1', '2']"]);
    } finally {
      secret.kill('SIGKILL');
    }
  });

  it('reaches no socket of a daemon in the project, but the network', async () => {
    const server = createServer((socket) => socket.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const private_ = createServer();
    await mkdir(h.layout.stateDir, { recursive: true });
    const path = join(h.layout.stateDir, 's');
    await new Promise<void>((resolve) => private_.listen(path, resolve));
    const { handle } = await h.run({
      command: [
        'python',
        '-c',
        `import socket, sys
print(socket.create_connection(('127.0.0.1', ${port})).recv(9))
try: socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print('connected')
except OSError as e: print(type(e).__name__)`,
        path,
      ],
    });
    server.close();
    private_.close();
    expect(await h.log(handle)).toEqual(["b'hello'", 'FileNotFoundError']);
  });

  it('has no capability to undo the sandbox', async () => {
    const { handle } = await h.run({
      command: [
        '/bin/sh',
        '-c',
        'mount -o remount,rw / 2>/dev/null && echo REMOUNTED; grep NoNewPrivs /proc/self/status; umount "$GOLDFISH_INPUTS" 2>/dev/null && echo UNMOUNTED; true',
      ],
    });
    expect(await h.log(handle)).toEqual(['NoNewPrivs:\t1']);
  });

  it('imports the stage library and the code of its version', async () => {
    await h.write('modules/train.py', 'print("trained")');
    const { handle, result } = await h.run({ command: ['python', '-m', 'modules.train'] });
    expect(result.exitCode).toBe(0);
    expect(await h.log(handle)).toEqual(['trained']);
    const library = await h.run({
      command: ['python', '-c', 'import goldfish; print(goldfish.run_info()["stage"])'],
    });
    expect(await h.log(library.handle)).toEqual(['train']);
  });

  it('can use shared memory, threads and helper processes', async () => {
    const { handle } = await h.run({
      command: [
        'python',
        '-c',
        'import multiprocessing as m\nwith m.Pool(3) as p: print(sum(p.map(abs, range(-10, 0))))',
      ],
    });
    expect(await h.log(handle)).toEqual(['55']);
  });
});

it('refuses to run where bubblewrap is demanded and is not there', async () => {
  const h = await openHarness('bubblewrap', {
    hostEnvironment: { PATH: '/nowhere' },
    python: '/usr/bin/python3',
  });
  try {
    expect(await h.backend.probe()).toEqual({
      available: false,
      why: 'process.sandbox is bubblewrap, but bubblewrap is not installed',
      hint: 'On Debian: apt-get install bubblewrap.',
    });
    expect(h.backend.capabilities.isolation).toBe('none');
    await expect(h.spec().then((spec) => h.backend.launch(spec))).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
    });
  } finally {
    await h.close();
  }
});
