import { cp, lstat, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { updateLists } from './debian-packages.ts';
import { runProgram } from './run-program.ts';

/** What only the scripts of packages need, which are not run here, and what nobody reads in a container. */
const LEFT_OUT =
  /^(perl|libperl|perl-modules|lib\S+-perl|dpkg|debconf|usrmerge|init-system-helpers|openssl)\b/;
const UNREAD = [
  ...['doc', 'man', 'locale', 'info', 'lintian', 'bash-completion'].map((name) => `./usr/share/${name}`),
  ...['idlelib', 'lib2to3', 'pydoc_data'].map((name) => `./usr/lib/python3*/${name}`),
  ...['*/tests/*', '*/test/*', '*/gconv/*'],
];

/**
 * A small Debian in `root`, made of packages with all they depend on, as files only: no script of theirs is run, so
 * it takes no chroot, no right to mount and a few seconds. `archives` is an empty folder for the downloads.
 */
export async function makeRootFileSystem(parts: {
  root: string;
  archives: string;
  packages: readonly string[];
}): Promise<void> {
  const { root, archives } = parts;
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(root, 'usr', folder), { recursive: true });
    await symlink(`usr/${folder}`, join(root, folder));
  }
  for (const folder of ['etc', 'proc', 'sys', 'dev', 'run', 'root', 'home', 'mnt', 'tmp', 'var/tmp']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  for (const archive of await download(archives, parts.packages)) await unpack(join(archives, archive), root);
  await doWhatScriptsWouldHave(root);
}

/** The packages and their dependencies, resolved by apt as for an empty machine. Answers the files' names. */
async function download(archives: string, packages: readonly string[]): Promise<string[]> {
  await mkdir(join(archives, 'partial'), { recursive: true });
  const status = join(archives, 'status');
  await writeFile(status, '');
  await updateLists();
  const settings = [`Dir::State::status=${status}`, `Dir::Cache::archives=${archives}`];
  const free = ['APT::Sandbox::User=root', 'Debug::NoLocking=1'];
  const options = [...settings, ...free].flatMap((setting) => ['-o', setting]);
  await runProgram('apt-get', [
    ...options,
    ...['-qqy', '--download-only', '--no-install-recommends', 'install'],
    ...packages,
  ]);
  return (await readdir(archives)).filter((name) => name.endsWith('.deb') && !LEFT_OUT.test(name));
}

async function unpack(archive: string, root: string): Promise<void> {
  const excluded = UNREAD.map((pattern) => `--exclude=${pattern}`);
  const tar = ['tar', '-x', '-C', root, '--keep-directory-symlink', '--no-same-owner', ...excluded];
  const script = 'set -o pipefail; archive=$1; shift; dpkg-deb --fsys-tarfile "$archive" | "$@"';
  await runProgram('bash', ['-c', script, 'unpack', archive, ...tar]);
}

const USERS = ['root:x:0:0::/root', 'nobody:x:65534:65534::/nonexistent', 'user:x:1000:1000::/home'];

async function doWhatScriptsWouldHave(root: string): Promise<void> {
  await writeFile(join(root, 'etc/passwd'), USERS.map((user) => `${user}:/bin/sh\n`).join(''));
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\nuser:x:1000:\n');
  await link('dash', join(root, 'usr/bin/sh'));
  await link('mawk', join(root, 'usr/bin/awk'));
  await runProgram('chmod', ['1777', join(root, 'tmp'), join(root, 'var/tmp')]);
  // For the tests of privileges: a program that runs as root whoever starts it, where that is allowed.
  const setuid = join(root, 'usr/bin/setuid-id');
  await cp(join(root, 'usr/bin/id'), setuid);
  await runProgram('chmod', ['4755', setuid]);
  await runProgram('ldconfig', ['-r', root]);
}

async function link(target: string, path: string): Promise<void> {
  const there = await lstat(path).then(
    () => true,
    () => false,
  );
  if (!there) await symlink(target, path);
}
