import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { filesBelow, mountedProject, type Project } from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const checkout = (reference = 'a'): Promise<string> =>
  project.workspaces.checkout(project.workspaces.version(reference));
const mode = (path: string): number => lstatSync(path).mode & 0o777;

async function prepare(): Promise<void> {
  project = await mountedProject();
  project.write('w1/run.sh', '#!/bin/sh\n', 0o755);
  project.write('w1/sub/data.txt', 'text');
  mkdirSync(join(project.layout.slot('w1'), 'outputs'));
  symlinkSync('sub/data.txt', join(project.layout.slot('w1'), 'link'));
  await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
}

describe('a checkout', () => {
  it('is one read-only folder per content, with exactly the files of the version', async () => {
    await prepare();
    const dir = await checkout();
    expect(dir).toBe(project.layout.checkout(project.workspaces.version('a').treeSha));
    expect(await filesBelow(dir)).toEqual([
      'link',
      'modules/train.py',
      'pipeline.yaml',
      'run.sh',
      'sub/data.txt',
    ]);
    expect(readFileSync(join(dir, 'link'), 'utf8')).toBe('text');
    expect([dir, join(dir, 'run.sh'), join(dir, 'sub'), join(dir, 'sub', 'data.txt')].map(mode)).toEqual([
      0o555, 0o555, 0o555, 0o444,
    ]);
    expect(existsSync(join(dir, 'outputs'))).toBe(true);
    await project.workspaces.create({ name: 'b', goal: 'g', from: { workspace: 'a' } });
    expect(await checkout('b')).toBe(dir);
    expect(await checkout('a@v1')).not.toBe(dir);
  });

  it('is not made again while it is whole', async () => {
    await prepare();
    const dir = await checkout();
    const made = lstatSync(dir).ctimeMs;
    expect(await checkout()).toBe(dir);
    expect(await project.again().checkout(project.workspaces.version('a'))).toBe(dir);
    expect(lstatSync(dir).ctimeMs).toBe(made);
    expect(readdirSync(project.layout.checkouts).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('that somebody changed is replaced by a new one, and the old folder stays for the runs in it', async () => {
    const harms: Record<string, (dir: string) => void> = {
      'a file of equal length': (dir) => {
        chmodSync(join(dir, 'sub/data.txt'), 0o644);
        writeFileSync(join(dir, 'sub/data.txt'), 'TEXT');
        chmodSync(join(dir, 'sub/data.txt'), 0o444);
      },
      'a file added': (dir) => {
        writeFileSync(join(dir, 'modules/extra.pyc'), '');
      },
      'a file removed': (dir) => {
        rmSync(join(dir, 'pipeline.yaml'));
      },
      'a mode': (dir) => {
        chmodSync(join(dir, 'run.sh'), 0o444);
      },
      'a link': (dir) => {
        rmSync(join(dir, 'link'));
        symlinkSync('run.sh', join(dir, 'link'));
      },
    };
    await prepare();
    let dir = await checkout();
    for (const [name, harm] of Object.entries(harms)) {
      harm(dir);
      const next = await checkout();
      expect(next, name).not.toBe(dir);
      expect(existsSync(dir), name).toBe(true);
      expect(await filesBelow(next)).toHaveLength(5);
      expect(readFileSync(join(next, 'sub/data.txt'), 'utf8')).toBe('text');
      dir = next;
      expect(await checkout(), name).toBe(dir);
    }
  });

  it('left half made, without or with a broken list, is made anew', async () => {
    await prepare();
    const { treeSha } = project.workspaces.version('a');
    const half = join(project.layout.checkouts, `.${treeSha}.making`);
    mkdirSync(join(half, 'sub'), { recursive: true });
    writeFileSync(join(half, 'sub', 'data.txt'), 'half');
    chmodSync(join(half, 'sub'), 0o555);
    writeFileSync(`${half}.index.lock`, '');
    const dir = await checkout();
    expect(readFileSync(join(dir, 'sub/data.txt'), 'utf8')).toBe('text');
    expect(existsSync(half)).toBe(false);
    writeFileSync(`${project.layout.checkout(treeSha)}.json`, '{"folder": 1');
    expect(await filesBelow(await checkout())).toHaveLength(5);
  });

  it('is compared with the store byte by byte after a restart of the machine', async () => {
    await prepare();
    const dir = await checkout();
    const list = `${dir}.json`;
    const forget = (): void => {
      const manifest = JSON.parse(readFileSync(list, 'utf8'));
      writeFileSync(list, JSON.stringify({ ...manifest, bootId: 'another' }));
    };
    forget();
    expect(await checkout()).toBe(dir);
    // A power cut may leave a file empty whose times and size look right; here the list is made to agree with it.
    chmodSync(join(dir, 'sub/data.txt'), 0o644);
    writeFileSync(join(dir, 'sub/data.txt'), 'TEXT');
    chmodSync(join(dir, 'sub/data.txt'), 0o444);
    const stat = lstatSync(join(dir, 'sub/data.txt'), { bigint: true });
    const manifest = JSON.parse(readFileSync(list, 'utf8'));
    const entry = manifest.entries.find(({ path }: { path: string }) => path === 'sub/data.txt');
    entry.stamp = `${stat.ino}.${stat.size}.${stat.mode}.${stat.ctimeNs}`;
    writeFileSync(list, JSON.stringify(manifest));
    expect(await checkout()).toBe(dir);
    forget();
    expect(readFileSync(join(await checkout(), 'sub/data.txt'), 'utf8')).toBe('text');
  });

  it('is made once when several ask at the same time', async () => {
    await prepare();
    const version = project.workspaces.version('a');
    const others = [project.workspaces, project.again(), project.again(), project.again()];
    const dirs = await Promise.all(others.map((workspaces) => workspaces.checkout(version)));
    expect(new Set(dirs).size).toBe(1);
    expect(readdirSync(project.layout.checkouts).sort()).toEqual(
      [version.treeSha, `${version.treeSha}.json`, `${version.treeSha}.lock`].sort(),
    );
  });
});
