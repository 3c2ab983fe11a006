import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { systemClock } from '../../src/core/clock.ts';
import { withLock } from '../../src/store/lock.ts';

export const ENGINE_SOCKET = '/var/run/docker.sock';

/** What a machine's own container engine consists of. */
const ENGINE_PROGRAMS = ['dockerd', 'containerd', 'runc'];
/** Where administrators' programs are, which are not on everybody's path. */
const USUAL_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin'];
/** `systemctl` and its like in the first one only know how to switch a machine off. */
const POWER_PROGRAMS = '/opt/machine/bin';
const SIMULATOR = new URL('../gce-simulator/', import.meta.url);

/** Whether machines can be had here, if there is an engine for their containers: they have this machine's programs. */
export function hasMachinePrograms(): boolean {
  const needed = ['/usr/bin/python3', '/usr/bin/openssl', '/usr/bin/mount'].every((path) => existsSync(path));
  return needed && process.getuid?.() === 0 && ENGINE_PROGRAMS.every((name) => findProgram(name));
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...USUAL_FOLDERS];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Folders of the engine's programs that are not below /usr. */
function otherFolders(): string[] {
  const folders = ENGINE_PROGRAMS.flatMap((name) => {
    const path = findProgram(name);
    return path === undefined ? [] : [dirname(realpathSync(path))];
  });
  return [...new Set(folders)].filter((folder) => !folder.startsWith('/usr/'));
}

/** The programs of this machine, which the image is nothing without. */
export function machineBinds(): string[] {
  // What /usr/bin/awk and others lead through.
  const alternatives = existsSync('/etc/alternatives') ? ['/etc/alternatives'] : [];
  return ['/usr', ...alternatives, ...otherFolders()].map((folder) => `${folder}:${folder}:ro`);
}

export function machinePath(): string {
  return [POWER_PROGRAMS, ...otherFolders(), ...USUAL_FOLDERS, '/sbin', '/bin'].join(':');
}

const FOLDERS = [
  ...['dev', 'etc', 'etc/ssl', 'home', 'mnt', 'opt', 'opt/machine', 'opt/machine/bin', 'proc', 'run', 'sys'],
  ...['usr', 'var', 'var/lib', 'var/lib/docker', 'var/log'],
];
const USERS = ['root:x:0:0::/root', 'nobody:x:65534:65534::/nonexistent'];
const FILES = {
  'etc/passwd': USERS.map((user) => `${user}:/bin/sh\n`).join(''),
  'etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  'etc/nsswitch.conf': 'hosts: files dns\n',
  // Where openssl looks for settings: it has none.
  'etc/ssl/openssl.cnf': '',
};

/** An empty Debian: links into /usr, a few files, and the first process of the machine. */
async function makeArchive(): Promise<Buffer> {
  const archive = pack();
  const whole = buffer(archive);
  const common = { mtime: new Date(0), uid: 0, gid: 0 };
  const folder = (name: string, mode = 0o755): void => {
    archive.entry({ ...common, name, mode, type: 'directory' });
  };
  const link = (name: string, linkname: string): void => {
    archive.entry({ ...common, name, type: 'symlink', linkname });
  };
  const file = (name: string, text: string, mode = 0o644): void => {
    archive.entry({ ...common, name, mode }, text);
  };
  for (const name of FOLDERS) folder(name);
  folder('root', 0o700);
  for (const name of ['tmp', 'var/tmp']) folder(name, 0o1777);
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) link(name, `usr/${name}`);
  link('var/run', '/run');
  for (const [name, text] of Object.entries(FILES)) file(name, text);
  file('opt/machine/init.py', await readFile(new URL('machine-init.py', SIMULATOR), 'utf8'));
  file('opt/machine/bin/poweroff', await readFile(new URL('machine-power.sh', SIMULATOR), 'utf8'), 0o755);
  for (const name of ['systemctl', 'shutdown']) link(`opt/machine/bin/${name}`, 'poweroff');
  archive.finalize();
  return whole;
}

/**
 * The image of machines that are containers; its name. Made once for its content, in less than a second and without a
 * registry: what is in it beside some links comes from this machine (`machineBinds`).
 */
export async function makeMachineImage(docker: Docker): Promise<string> {
  const archive = await makeArchive();
  const repo = 'goldfish-test-machine';
  const tag = createHash('sha256').update(archive).digest('hex').slice(0, 12);
  // Two that make it at once would leave one without a name.
  const lock = join(tmpdir(), `${repo}-${tag}.lock`);
  await withLock(lock, { clock: systemClock, what: 'the image of machines' }, async () => {
    const there = await docker.listImages({ filters: { reference: [`${repo}:${tag}`] } });
    if (there.length > 0) return;
    const answer = await docker.importImage(Readable.from([archive]), { repo, tag });
    await new Promise((resolve, reject) => answer.resume().once('end', resolve).once('error', reject));
  });
  return `${repo}:${tag}`;
}
