import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveInside, syncFolder, writeFileAtomic } from '../../src/os/files.ts';
import { asOrdinaryUser } from '../support/ordinary-user.ts';

let folder: string;
let root: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'goldfish-files-')));
  root = join(folder, 'root');
  await mkdir(join(root, 'sub'), { recursive: true });
  await mkdir(join(folder, 'root-sibling'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('writeFileAtomic', () => {
  it('makes the folder, writes the bytes, and only for this user unless told otherwise', async () => {
    const file = join(root, 'a', 'b', 'x.json');
    await writeFileAtomic(file, 'é');
    expect(await readFile(file, 'utf8')).toBe('é');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await writeFileAtomic(file, new Uint8Array([0, 255]), 0o644);
    expect([...(await readFile(file))]).toEqual([0, 255]);
    expect((await stat(file)).mode & 0o777).toBe(0o644);
  });

  it('shows readers the old content or the new one whole, and leaves nothing else', async () => {
    const file = join(root, 'x.txt');
    const contents = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(50_000));
    await writeFileAtomic(file, contents[0] ?? '');
    const writing = Promise.all(contents.map((content) => writeFileAtomic(file, content)));
    for (let i = 0; i < 20; i += 1) expect(contents).toContain(await readFile(file, 'utf8'));
    await writing;
    expect(await readdir(root)).toEqual(['sub', 'x.txt']);
  });

  it('leaves the old content and nothing else where it cannot replace', async () => {
    await mkdir(join(root, 'taken', 'child'), { recursive: true });
    await expect(writeFileAtomic(join(root, 'taken'), 'x')).rejects.toThrow();
    expect((await readdir(root)).sort()).toEqual(['sub', 'taken']);
  });

  it('replaces a link instead of writing through it', async () => {
    await writeFile(join(folder, 'outside'), 'safe');
    await symlink(join(folder, 'outside'), join(root, 'link'));
    await writeFileAtomic(join(root, 'link'), 'new');
    expect(await readFile(join(folder, 'outside'), 'utf8')).toBe('safe');
    expect(await readFile(join(root, 'link'), 'utf8')).toBe('new');
  });
});

it('syncs a folder and reports one that is not there', async () => {
  await syncFolder(root);
  await expect(syncFolder(join(root, 'none'))).rejects.toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

describe('resolveInside', () => {
  const outside = expect.objectContaining({ code: 'PATH_OUTSIDE_ROOT' });

  it.each([
    ['x', 'x'],
    ['sub/new/deep', 'sub/new/deep'],
    ['sub/../x', 'x'],
    ['./sub//x', 'sub/x'],
    ['..x', '..x'],
    ['ünï cödé \n', 'ünï cödé \n'],
  ])('accepts %j', async (path, expected) => {
    expect(await resolveInside(root, path)).toBe(join(root, expected));
  });

  it('accepts the root itself', async () => {
    expect(await resolveInside(root, '.')).toBe(root);
  });

  it.each(['..', '../x', 'sub/../../x', '/etc/passwd', '../root-sibling', 'a\0b', 'x'.repeat(300)])(
    'refuses %j',
    async (path) => {
      await expect(resolveInside(root, path)).rejects.toThrow(outside);
    },
  );

  it('follows links that stay inside and refuses those that lead out', async () => {
    await symlink('sub', join(root, 'in'));
    await symlink('..', join(root, 'out'));
    await symlink(join(folder, 'root-sibling'), join(root, 'sibling'));
    expect(await resolveInside(root, 'in/x')).toBe(join(root, 'in/x'));
    await expect(resolveInside(root, 'out')).rejects.toThrow(outside);
    await expect(resolveInside(root, 'out/x')).rejects.toThrow(outside);
    await expect(resolveInside(root, 'sibling')).rejects.toThrow(outside);
  });

  it('refuses a link out of the root whose target does not exist yet', async () => {
    await symlink(join(folder, 'not-yet'), join(root, 'dangling'));
    await symlink('dangling', join(root, 'two-steps'));
    for (const path of ['dangling', 'dangling/x', 'two-steps']) {
      await expect(resolveInside(root, path)).rejects.toThrow(outside);
    }
    await symlink('sub/not-yet', join(root, 'harmless'));
    expect(await resolveInside(root, 'harmless')).toBe(join(root, 'harmless'));
  });

  it('refuses links that lead in a circle', async () => {
    await symlink('b', join(root, 'a'));
    await symlink('a', join(root, 'b'));
    await expect(resolveInside(root, 'a')).rejects.toThrow(outside);
    await expect(resolveInside(root, 'a/x')).rejects.toThrow(outside);
  });

  it('leaves a path through a file to whoever opens it', async () => {
    await writeFile(join(root, 'file'), '');
    expect(await resolveInside(root, 'file/x')).toBe(join(root, 'file/x'));
  });

  it('resolves a root that is reached through a link', async () => {
    await symlink(root, join(folder, 'alias'));
    expect(await resolveInside(join(folder, 'alias'), 'x')).toBe(join(root, 'x'));
  });

  it('never answers with a path outside the root, whatever is asked', async () => {
    const part = fc.constantFrom('..', '.', '', 'sub', 'x', '...', '~', ' ', '\\..', '%2e%2e');
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
        const answer = await resolveInside(root, parts.join('/')).catch(() => root);
        expect(answer === root || answer.startsWith(`${root}/`)).toBe(true);
      }),
    );
  });

  it('says in its refusal what to do', async () => {
    await expect(resolveInside(root, '../x')).rejects.toMatchObject({
      message: '"../x" leaves the folder it must stay in.',
      hint: 'Use a relative path without "..", that no symbolic link leads out of.',
    });
  });

  it('does not hide a folder it may not look into', async () => {
    await chmod(join(root, 'sub'), 0);
    await asOrdinaryUser([folder, root, join(root, 'sub')], async () => {
      await expect(resolveInside(root, 'sub/x')).rejects.toMatchObject({ code: 'EACCES' });
    });
  });
});
