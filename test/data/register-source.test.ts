import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderHash } from '../../src/core/folder-hash.ts';
import { sha256 } from '../../src/core/json.ts';
import { localContent } from '../../src/data/local-content.ts';
import { type RegisterRequest, registerSource, sourceFromPath } from '../../src/data/register-source.ts';
import { listSourceNames, newestSource } from '../../src/store/sources.ts';
import { createDataProject, type DataProject } from './data-project.ts';

let project: DataProject;
beforeEach(async () => {
  project = await createDataProject();
});
afterEach(() => project.dispose());

const register = (request: Partial<RegisterRequest> & { uri: string }) =>
  registerSource(project.deps, { name: 'data', description: 'Numbers of the test', ...request });
const scratch = (): string[] => readdirSync(join(project.deps.layout.scratch));

describe('a registered file', () => {
  it('is copied and pinned by its content', async () => {
    project.write('data/numbers.csv', 'a,b\n1,2\n');
    const { source, created } = await register({ uri: 'data/numbers.csv', metadata: { licence: 'CC0' } });
    expect(created).toBe(true);
    expect(source).toEqual({
      name: 'data',
      version: 1,
      uri: 'data/numbers.csv',
      description: 'Numbers of the test',
      kind: 'file',
      hash: sha256('a,b\n1,2\n'),
      size: 8,
      fingerprint: 'full',
      storageLocation: `sha256/${sha256('a,b\n1,2\n').slice(7, 9)}/${sha256('a,b\n1,2\n').slice(7)}`,
      metadata: { licence: 'CC0' },
      fromRunId: null,
      fromSignal: null,
      createdAt: '2026-01-01T00:00:00.000Z',
      deletedAt: null,
    });
    expect(newestSource(project.db, 'data')).toEqual(source);
    // What becomes of the original changes nothing.
    rmSync(join(project.root, 'data'), { recursive: true });
    const path = await localContent(project.deps, source);
    expect(readFileSync(path, 'utf8')).toBe('a,b\n1,2\n');
    expect(scratch()).toEqual([]);
  });

  it('stays the user’s own: writable, and no other name of the stored one', async () => {
    const config = 'project_name: test\nstorage: { local: { path: objects }, keep: { min_free_gb: 0 } }\n';
    const beside = await createDataProject({ config });
    try {
      const file = beside.write('numbers.csv', '1');
      chmodSync(file, 0o640);
      await registerSource(beside.deps, { name: 'data', uri: 'numbers.csv', description: 'd' });
      expect(lstatSync(file).mode & 0o777).toBe(0o640);
      expect(lstatSync(file).nlink).toBe(1);
    } finally {
      await beside.dispose();
    }
  });

  it.each(['an absolute path', 'a file address'])('may lie below a data root, named by %s', async (how) => {
    const file = project.write(join(project.dataRoot, 'ünï code/big set.csv'), 'x');
    const { source } = await register({
      uri: how === 'an absolute path' ? file : `file://${encodeURI(file)}`,
    });
    expect(source).toMatchObject({ uri: file, hash: sha256('x') });
  });

  it('may be reached by a link that ends at a data root', async () => {
    project.write(join(project.dataRoot, 'set.csv'), 'x');
    symlinkSync(project.dataRoot, join(project.root, 'linked'));
    expect((await register({ uri: 'linked/set.csv' })).source.hash).toBe(sha256('x'));
  });

  it.each([0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 * (1 << 20) + 17])(
    'of %i bytes has the hash of its bytes',
    async (size) => {
      const bytes = Buffer.alloc(size, 'goldfish\0');
      project.write('numbers', bytes);
      const { source } = await register({ uri: 'numbers' });
      expect(source).toMatchObject({ hash: sha256(bytes), size, kind: 'file' });
      expect(readFileSync(await localContent(project.deps, source)).equals(bytes)).toBe(true);
    },
  );

  it('that is mostly a hole is copied as one', async () => {
    const size = 64 * 1024 * 1024;
    const file = project.write('sparse', 'start');
    truncateSync(file, size);
    const { source } = await register({ uri: 'sparse' });
    expect(source.size).toBe(size);
    const stored = statSync(await localContent(project.deps, source));
    expect(stored.size).toBe(size);
    expect(stored.blocks * 512).toBeLessThan(size / 4);
  });
});

describe('a registered folder', () => {
  it('keeps paths, modes, empty folders and inner links', async () => {
    project.write('set/a b.csv', 'a');
    project.write('set/ünï/ß.csv', 'b');
    chmodSync(project.write('set/run.sh', '#!/bin/sh\n'), 0o755);
    mkdirSync(join(project.root, 'set/empty'));
    symlinkSync('ünï/ß.csv', join(project.root, 'set/relative'));
    symlinkSync(join(project.root, 'set/a b.csv'), join(project.root, 'set/absolute'));
    const { source } = await register({ uri: 'set' });
    const hash = folderHash([
      { path: 'a b.csv', mode: '100644', hash: sha256('a') },
      { path: 'ünï/ß.csv', mode: '100644', hash: sha256('b') },
      { path: 'run.sh', mode: '100755', hash: sha256('#!/bin/sh\n') },
      { path: 'empty', mode: '040000', hash: sha256('') },
      { path: 'relative', mode: '120000', hash: sha256('ünï/ß.csv') },
      { path: 'absolute', mode: '120000', hash: sha256('a b.csv') },
    ]);
    expect(source).toMatchObject({ kind: 'folder', hash });
    const path = await localContent(project.deps, source);
    expect(readdirSync(path).sort()).toEqual(['a b.csv', 'absolute', 'empty', 'relative', 'run.sh', 'ünï']);
    expect(readFileSync(join(path, 'absolute'), 'utf8')).toBe('a');
    expect(lstatSync(join(path, 'run.sh')).mode & 0o111).not.toBe(0);
  });

  it('may be empty, and is not the empty file', async () => {
    mkdirSync(join(project.root, 'nothing'));
    project.write('empty', '');
    const folder = await register({ uri: 'nothing' });
    const file = await register({ uri: 'empty' });
    expect(folder.source).toMatchObject({ kind: 'folder', size: 0, version: 1 });
    expect(file).toMatchObject({ created: true, source: { kind: 'file', version: 2 } });
    expect(file.source.hash).toBe(folder.source.hash);
  });
});

describe('versions', () => {
  it('go on with the same name, and stay with the same content', async () => {
    project.write('numbers', '1');
    const first = await register({ uri: 'numbers' });
    const again = await register({ uri: 'numbers', description: 'Other words for the same' });
    expect(again).toEqual({ source: first.source, created: false });
    project.write('numbers', '2');
    expect((await register({ uri: 'numbers' })).source.version).toBe(2);
    // What once was is newest again: a version of its own, because a name means its newest version.
    project.write('numbers', '1');
    expect((await register({ uri: 'numbers' })).source).toMatchObject({
      version: 3,
      hash: first.source.hash,
    });
  });

  it('are numbered once when several register at once', async () => {
    project.write('one', '1');
    project.write('two', '2');
    const all = await Promise.all(['one', 'two', 'one', 'two'].map((uri) => register({ uri })));
    const numbers = all.filter(({ created }) => created).map(({ source }) => source.version);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(newestSource(project.db, 'data')?.version).toBe(numbers.length);
    expect(listSourceNames(project.db)).toEqual(['data']);
  });
});

describe('a path as an input', () => {
  it('becomes a source of its own, and the same one again', async () => {
    const file = project.write(join(project.dataRoot, 'my set.v2.csv'), '1');
    const found = await sourceFromPath(project.deps, file, { store: true });
    expect(found).toEqual({
      name: expect.stringMatching(/^path-my_set_v2_csv-[0-9a-f]{8}$/),
      version: 1,
      hash: sha256('1'),
      kind: 'file',
    });
    expect(await sourceFromPath(project.deps, file, { store: true })).toEqual(found);
    project.write(file, '2');
    expect(await sourceFromPath(project.deps, file, { store: true })).toMatchObject({ version: 2 });
  });

  it('changes nothing where it is only asked', async () => {
    const file = project.write(join(project.dataRoot, 'set.csv'), '1');
    const before = await sourceFromPath(project.deps, file, { store: false });
    expect(listSourceNames(project.db)).toEqual([]);
    expect(existsSync(project.deps.layout.objects)).toBe(false);
    expect(await sourceFromPath(project.deps, file, { store: true })).toEqual(before);
  });

  it('is an input that is not available where nothing is', async () => {
    const asked = sourceFromPath(project.deps, join(project.dataRoot, 'gone'), { store: true });
    await expect(asked).rejects.toMatchObject({ code: 'INPUT_UNAVAILABLE' });
    await expect(sourceFromPath(project.deps, '/etc/passwd', { store: true })).rejects.toMatchObject({
      code: 'PATH_OUTSIDE_ROOT',
    });
  });
});
