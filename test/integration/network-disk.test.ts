import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { type Ended, endPrograms, goldfish, shell } from './cli-program.ts';

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

const GOLDFISH = assetPath('bin/goldfish.js');

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-network-disk-'));
  await writeFile(join(home, 'goldfish.yaml'), 'project_name: shared\n');
});
afterEach(async () => {
  endPrograms();
  await rm(home, { recursive: true, force: true });
});

/** Runs a command where the kernel says that the disk of the project is of this type. */
async function goldfishOn(type: string, words: string): Promise<Ended> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const { dev } = await stat(home);
  const device = `${(dev >>> 8) & 0xfff}:${dev & 0xff}`;
  const told = mounts.replaceAll(
    new RegExp(`^(\\S+ \\S+ ${device} .* - )\\S+`, 'gm'),
    (_, before: string) => before + type,
  );
  expect(told).not.toBe(mounts);
  await mkdir(join(home, 'told'), { recursive: true });
  await writeFile(join(home, 'told', 'mountinfo'), told);
  const script = 'mount --bind "$0/told/mountinfo" /proc/$$/mountinfo && exec "$@"';
  return shell(`unshare -m sh -c '${script}' '${home}' "${process.execPath}" ${GOLDFISH} ${words}`, {
    cwd: home,
  });
}

const needs = canMount ? '' : ' (needs the right to mount: run as root)';

describe.skipIf(!canMount)(
  `a project whose state would lie on a disk that other machines share${needs}`,
  () => {
    it.each(['nfs4', 'cifs', 'fuse.sshfs'])(
      'is refused and names the key that moves it: %s',
      async (type) => {
        const { out, code } = await goldfishOn(type, 'doctor --json');
        expect(code).not.toBe(0);
        expect(JSON.parse(out).findings).toMatchObject([
          {
            component: 'project',
            state: 'broken',
            detail: `The project's state would lie on a network file system (${type}), where its database is not safe.`,
            fix: expect.stringContaining('state_dir'),
          },
        ]);
        expect(await readdir(home)).not.toContain('.goldfish');
      },
    );

    it.each(['btrfs', '9p', 'fuse.overlayfs'])('is opened on a disk of this machine: %s', async (type) => {
      const { out } = await goldfishOn(type, 'doctor --json');
      expect(JSON.parse(out).findings).toEqual(
        expect.arrayContaining([expect.objectContaining({ component: 'disk', state: 'ok' })]),
      );
    });

    it('gets no restored project', async () => {
      const backup = await goldfish(['backup'], { cwd: home });
      expect(backup.code).toBe(0);
      const { err, code } = await goldfishOn('nfs4', `restore '${backup.out.trim()}' --into copy`);
      expect(err).toContain('network file system (nfs4)');
      expect(code).not.toBe(0);
      expect(await readdir(home)).not.toContain('copy');
    });
  },
);
