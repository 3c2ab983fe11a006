import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunHandle } from '../../src/backends/port.ts';
import { type BackendHarness, openHarness } from '../contracts/backend-harness.ts';
import { docker, dockerUnderTest, hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { GO_AND_WAIT, py, sh } from '../contracts/run-backend.ts';

/** Each of these is tried from inside: what a hostile stage would do first. */
describe.skipIf(!hasEngine)(`a stage in a container${NEEDS_ENGINE}`, () => {
  let h: BackendHarness;
  beforeAll(async () => {
    h = await openHarness(dockerUnderTest);
  });
  afterAll(() => h.close());

  async function lines(
    command: string[],
    change: Parameters<BackendHarness['run']>[0] = {},
  ): Promise<string[]> {
    const { handle } = await h.run({ command, ...change });
    return h.log(handle);
  }
  const limited = async (change: object) => ({ ...(await h.spec()).resources, ...change });

  it('is not root, and cannot become it', async () => {
    expect(await lines(sh('id -u; id -g; id -G'))).toEqual(['1000', '1000', '1000']);
    const tried = await lines(
      py(`
import os
for name, act in {'uid': lambda: os.setuid(0), 'gid': lambda: os.setgid(0), 'groups': lambda: os.setgroups([0])}.items():
    try: act(); print('BECAME', name)
    except PermissionError: print('refused', name)
`),
    );
    expect(tried).toEqual(['refused uid', 'refused gid', 'refused groups']);
  });

  it('has no capability, in any of the sets the kernel keeps', async () => {
    const status = await lines(sh('grep ^Cap /proc/self/status'));
    expect(status).toHaveLength(5);
    for (const line of status) expect(line).toMatch(/^Cap\w+:\t0{16}$/);
    const tried = await lines(
      py(`
import ctypes, os, socket, stat
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *words):
    if getattr(libc, name)(*words) != 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def mount(): call('mount', b'none', b'/mnt/outputs', b'tmpfs', 0, None)
def chroot(): os.chroot('/')
def hostname(): socket.sethostname('x')
def device(): os.mknod('/tmp/disk', stat.S_IFBLK | 0o600, os.makedev(8, 0))
def namespace(): call('unshare', 0x00020000)
def give(): open('/tmp/mine', 'w').close(); os.chown('/tmp/mine', 0, 0)
for act in (mount, chroot, hostname, device, namespace, give):
    try: act(); print('DID', act.__name__)
    except PermissionError: print('refused', act.__name__)
`),
    );
    const acts = ['mount', 'chroot', 'hostname', 'device', 'namespace', 'give'];
    expect(tried).toEqual(acts.map((act) => `refused ${act}`));
  });

  it('gains nothing from a program that is root’s whoever starts it', async () => {
    expect(await lines(sh('setuid-id -u; grep NoNewPrivs /proc/self/status'))).toEqual([
      '1000',
      'NoNewPrivs:\t1',
    ]);
    // The same program with the same image, where that is allowed: the test would see the difference.
    const allowed = await docker.createContainer({
      Image: (await h.spec()).runtime.data['image'] as string,
      Entrypoint: ['setuid-id', '-u'],
      User: '1000:1000',
      Tty: true,
    });
    await allowed.start();
    await allowed.wait();
    const said = await allowed.logs({ stdout: true });
    await allowed.remove({ force: true });
    expect(`${said}`.trim()).toBe('0');
  });

  it('writes to its own folders only', async () => {
    const tried = await lines(
      py(`
import os
def works(path):
    try:
        with open(os.path.join(path, 'probe'), 'w') as file: file.write('x')
        return True
    except OSError: return False
everywhere = [root for root, folders, _ in os.walk('/') if not root.startswith(('/proc', '/sys'))]
print(sorted({'/' + '/'.join(path.split('/')[1:3]) for path in everywhere if works(path)}))
`),
    );
    expect(tried).toEqual(["['/dev/shm', '/mnt/checkpoints', '/mnt/control', '/mnt/outputs', '/tmp']"]);
    expect(
      await lines(
        sh(
          'cat /proc/sys/kernel/hostname > /proc/sys/kernel/hostname; echo 1 > /proc/sysrq-trigger; echo end',
        ),
      ),
    ).toHaveLength(3);
  });

  it('cannot use more memory than its limit, and no swap beside it', async () => {
    const { result, handle } = await h.run({
      resources: await limited({ memoryBytes: 64 * 1024 * 1024 }),
      command: py('print("begin", flush=True); x = bytearray(200_000_000); print("past the limit")'),
    });
    expect(result).toMatchObject({ oom: true, signal: 'SIGKILL', exitCode: null });
    expect(await h.log(handle)).toEqual(['begin']);
    const { HostConfig } = await docker.getContainer(handle.externalId).inspect();
    expect(HostConfig).toMatchObject({ Memory: 64 * 1024 * 1024, MemorySwap: 64 * 1024 * 1024 });
  });

  it('cannot fill the memory through shared memory either, of which it has half', async () => {
    const { result, handle } = await h.run({
      resources: await limited({ memoryBytes: 64 * 1024 * 1024 }),
      command: sh('df --output=size -B1 /dev/shm | tail -1; head -c 200000000 /dev/zero > /dev/shm/x'),
    });
    expect(Number((await h.log(handle))[0])).toBe(32 * 1024 * 1024);
    expect(result.exitCode).not.toBe(0);
  });

  it('cannot use more processors than its limit', async () => {
    const [line] = await lines(
      py(`
import os, resource, time
for _ in range(3):
    if os.fork() == 0:
        end = time.monotonic() + 3
        while time.monotonic() < end: pass
        os._exit(0)
began = time.monotonic()
for _ in range(3): os.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print((used.ru_utime + used.ru_stime) / (time.monotonic() - began))
`),
      { resources: await limited({ cpus: 0.25 }) },
    );
    expect(Number(line)).toBeLessThan(0.4);
  });

  it('cannot have more processes than its limit', async () => {
    const [line] = await lines(
      py(`
import os, time
made = 0
try:
    while True:
        if os.fork() == 0: time.sleep(30); os._exit(0)
        made += 1
except OSError as error: print(made, error.strerror)
`),
      { resources: await limited({ pidsLimit: 30 }) },
    );
    expect(line).toBe('29 Resource temporarily unavailable');
  });

  it('has no network but its own loopback, unless its profile allows one', async () => {
    const server = createServer((socket) => socket.end('host'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const { port } = server.address() as { port: number };
    const script = (host: string): string[] =>
      py(`
import socket
print(sorted(name for _, name in socket.if_nameindex()))
routes = [line.split() for line in open('/proc/net/route').readlines()[1:]]
gateways = [socket.inet_ntoa(bytes.fromhex(route[2])[::-1]) for route in routes if route[1] == '00000000']
host = '${host}' or gateways[0]
print(host)
for where in [(host, ${port}), ('8.8.8.8', 53), ('127.0.0.1', ${port})]:
    try: print('reached', socket.create_connection(where, 3).recv(10))
    except OSError as error: print('refused')
`);
    try {
      // Where it has a network it reaches this machine: the test would see the difference.
      const open = await lines(script(''), { resources: await limited({ network: true }) });
      expect([open[0], open[2]]).toEqual(["['eth0', 'lo']", "reached b'host'"]);
      const host = open[1]!;
      expect(await lines(script(host))).toEqual(["['lo']", host, 'refused', 'refused', 'refused']);
    } finally {
      server.close();
    }
  });

  it('does not see other runs, the project or anything else of the machine', async () => {
    const other = await h.start({
      command: sh(`echo other > "$GOLDFISH_OUTPUTS/secret-of-other"; ${GO_AND_WAIT}`),
    });
    await h.ready(other.handle);
    await writeFile(join(h.outside, 'secret-of-host'), 'x');
    await mkdir(h.layout.stateDir, { recursive: true });
    await writeFile(h.layout.database, 'secret-of-project');
    const found = await lines(
      py(`
import os
names = [os.path.join(root, name) for root, folders, files in os.walk('/') if not root.startswith('/proc') for name in folders + files]
print([name for name in names if 'secret-of' in name or 'goldfish.db' in name or '${other.handle.runId}' in name])
print([name for name in names if name.endswith('.sock')])
for path in ${JSON.stringify([h.outside, h.layout.root, '/work', '/var/lib/docker', '/var/lib/goldfish-engine'])}: print(os.path.exists(path))
`),
    );
    expect(found).toEqual(['[]', '[]', 'False', 'False', 'False', 'False', 'False']);
    const climbed = await lines(
      sh(
        'cat /mnt/outputs/../../../../../etc/hostname /proc/1/root/etc/passwd | wc -l; ls /mnt/control/.. /mnt/outputs/../..; ls -d /proc/1/cwd/../..; ln -s /mnt/outputs/../../.. /mnt/outputs/up; ls /mnt/outputs/up/',
      ),
    );
    expect(climbed.join(' ')).not.toMatch(/spec\.json|goldfish\.yaml|runs/);
    await h.backend.cleanup(other.handle);
  });

  it('does not reach the engine, under any of its names', async () => {
    const [socket, files, host] = await lines(
      py(`
import os, socket
tried = ['/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock']
def connect(path):
    try: socket.socket(socket.AF_UNIX).connect(path); return 'REACHED'
    except OSError as error: return error.strerror
print([connect(path) for path in tried])
print([name for name in os.listdir('/run')])
abstract = [line.split()[-1] for line in open('/proc/net/unix').readlines()[1:] if len(line.split()) > 7]
print(abstract)
`),
    );
    expect(socket).toBe(
      "['No such file or directory', 'No such file or directory', 'No such file or directory']",
    );
    expect(files).toBe('[]');
    expect(host).toBe('[]');
  });

  it('sees no other process of the machine, and cannot look into its own first one', async () => {
    const [pids, memory] = await lines(
      py(`
import os
print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))
try: open('/proc/1/mem', 'rb'); print('OPENED')
except OSError as error: print(error.strerror)
`),
    );
    expect(JSON.parse(pids!)).toHaveLength(2);
    expect(memory).toBe('Permission denied');
  });

  it('cannot send us elsewhere with links in its outputs and control folder', async () => {
    const { handle } = await h.run({
      command: sh(
        'rm -rf "$GOLDFISH_CONTROL/stop"; ln -s /etc/passwd "$GOLDFISH_CONTROL/stop"; ln -s / "$GOLDFISH_OUTPUTS/root"; exit 0',
      ),
    });
    await h.backend.cleanup(handle);
    expect((await stat('/etc/passwd')).size).toBeGreaterThan(0);
    expect(await readdir(h.layout.attempt(handle.runId, 1).outputs)).toEqual(['root']);
  });

  it('leaves no container, volume or process behind, and its environment held no secret', async () => {
    const secret = `s3cr3t-${Math.random()}`;
    const { handle } = await h.start({ secrets: { TOKEN: secret }, command: sh(GO_AND_WAIT) });
    await h.ready(handle);
    const inspected = await docker.getContainer(handle.externalId).inspect();
    expect(JSON.stringify(inspected)).not.toContain(secret);
    expect(await grepEngine(secret)).toEqual([]);
    expect(inspected.Config.Labels).toMatchObject({
      'goldfish.run': handle.runId,
      'goldfish.attempt': '1',
      'goldfish.rank': '0',
    });
    const { Volumes } = await docker.listVolumes();
    await h.backend.cleanup(handle);
    expect(await h.remains(handle)).toEqual([]);
    expect((await docker.listVolumes()).Volumes.length).toBeLessThanOrEqual(Volumes.length);
    expect(await leftFor(handle)).toEqual([]);
  });
});

async function leftFor(handle: RunHandle): Promise<string[]> {
  const found = await docker.listContainers({
    all: true,
    filters: { label: [`goldfish.run=${handle.runId}`] },
  });
  return found.map(({ Id }) => Id);
}

/** Files of the engine's own that hold the text: what it writes of containers, in the clear. */
async function grepEngine(text: string): Promise<string[]> {
  const { DockerRootDir } = (await docker.info()) as { DockerRootDir: string };
  const found: string[] = [];
  const folder = join(DockerRootDir, 'containers');
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    if ((await readFile(file, 'latin1').catch(() => '')).includes(text)) found.push(file);
  }
  return found;
}
