import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/core/json.ts';
import { withSource } from '../../src/data/copy-source.ts';
import { type RegisterRequest, registerSource } from '../../src/data/register-source.ts';
import { type SurveyedEntry, surveySource } from '../../src/data/survey-source.ts';
import { verifyCopy } from '../../src/data/verify-copy.ts';
import { listSourceNames } from '../../src/store/sources.ts';
import { createDataProject, type DataProject } from './data-project.ts';

let project: DataProject;
beforeEach(async () => {
  project = await createDataProject();
});
afterEach(() => project.dispose());

const register = (request: Partial<RegisterRequest> & { uri: string }) =>
  registerSource(project.deps, { name: 'data', description: 'Numbers of the test', ...request });
const scratch = (): string[] => readdirSync(join(project.deps.layout.scratch));

describe('what is refused', () => {
  const refusal = (uri: string, extra: Partial<RegisterRequest> = {}) =>
    register({ uri, ...extra }).then(
      () => undefined,
      (error: unknown) => error as { code: string; message: string; hint: string },
    );

  it.each([
    ['a path above the project', '../elsewhere', 'PATH_OUTSIDE_ROOT'],
    ['an absolute path elsewhere', '/etc/passwd', 'PATH_OUTSIDE_ROOT'],
    ['an address elsewhere', 'file:///etc/passwd', 'PATH_OUTSIDE_ROOT'],
    ['a path that climbs out of a data root', 'DATA/../../../etc/passwd', 'PATH_OUTSIDE_ROOT'],
    ['what is not there', 'nothing', 'INVALID_ARGUMENT'],
    ['no path', '', 'INVALID_ARGUMENT'],
    ['a null character', 'a\0b', 'INVALID_ARGUMENT'],
    ['a host', 'file://elsewhere/data', 'INVALID_ARGUMENT'],
    ['a bucket', 's3://bucket/data', 'NOT_SUPPORTED'],
    ['the project with its state', '.', 'PATH_OUTSIDE_ROOT'],
    ['the state', '.goldfish', 'PATH_OUTSIDE_ROOT'],
    ['a file of the state', '.goldfish/goldfish.db', 'PATH_OUTSIDE_ROOT'],
    ['the file with secrets', '.env', 'PATH_OUTSIDE_ROOT'],
  ])('%s', async (_what, uri, code) => {
    project.write('.env', 'TOKEN=secret');
    const error = await refusal(uri.replace('DATA', project.dataRoot));
    expect(error).toMatchObject({ code });
    expect(error?.hint).toBeTruthy();
    expect(listSourceNames(project.db)).toEqual([]);
    expect(existsSync(project.deps.layout.objects)).toBe(false);
  });

  it('says the same of what exists elsewhere and of what does not', async () => {
    const [there, not] = [await refusal('/etc/passwd'), await refusal('/etc/no-such-file')];
    expect(there?.message.replace('passwd', 'X')).toBe(not?.message.replace('no-such-file', 'X'));
  });

  it('a link that leads out of project and data roots', async () => {
    symlinkSync('/etc', join(project.root, 'out'));
    symlinkSync('/etc/passwd', join(project.root, 'out-file'));
    expect(await refusal('out/passwd')).toMatchObject({ code: 'PATH_OUTSIDE_ROOT' });
    expect(await refusal('out-file')).toMatchObject({ code: 'PATH_OUTSIDE_ROOT' });
  });

  it('the secrets by another name', async () => {
    project.write('.env', 'TOKEN=secret');
    symlinkSync('.env', join(project.root, 'numbers.csv'));
    expect(await refusal('numbers.csv')).toMatchObject({ code: 'PATH_OUTSIDE_ROOT' });
  });

  it('a folder with a link out of it', async () => {
    project.write('elsewhere', 'x');
    project.write('set/a', 'x');
    symlinkSync('../elsewhere', join(project.root, 'set/link'));
    expect(await refusal('set')).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'This cannot be registered. "link" is a link that leaves the folder.',
    });
  });

  it('special files, alone and in a folder', async () => {
    mkdirSync(join(project.root, 'set'));
    execFileSync('mkfifo', [join(project.root, 'set/pipe')]);
    expect(await refusal('set/pipe')).toMatchObject({
      message: 'This cannot be registered. It is neither a file nor a folder.',
    });
    expect(await refusal('set')).toMatchObject({
      message: 'This cannot be registered. "pipe" is neither a file nor a folder.',
    });
    rmSync(join(project.root, 'set/pipe'));
    const server = createServer().listen(join(project.root, 'set/socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await refusal('set')).toMatchObject({ code: 'INVALID_ARGUMENT' });
    await new Promise((resolve) => server.close(resolve));
  });

  it('names that are no text', async () => {
    mkdirSync(join(project.root, 'set'));
    writeFileSync(Buffer.concat([Buffer.from(join(project.root, 'set/')), Buffer.from([0xff, 0xfe])]), 'x');
    expect(await refusal('set')).toMatchObject({ code: 'INVALID_ARGUMENT' });
    rmSync(join(project.root, 'set'), { recursive: true });
    project.write('set/a\nb', 'x');
    expect(await refusal('set')).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('a name that is none', async () => {
    project.write('numbers', 'x');
    expect(await refusal('numbers', { name: '../x' })).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('data without room on the disk, before anything is copied', async () => {
    project.write('numbers', 'x');
    const { config } = project.deps;
    const keep = { ...config.storage.keep, minFreeBytes: Number.MAX_SAFE_INTEGER };
    const deps = { ...project.deps, config: { ...config, storage: { ...config.storage, keep } } };
    await expect(
      registerSource(deps, { name: 'data', uri: 'numbers', description: 'd' }),
    ).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', hint: expect.stringContaining('goldfish gc') });
    expect(existsSync(project.deps.layout.scratch)).toBe(false);
  });
});

describe('data that change while they are read', () => {
  /** Copies in small steps; `meddle` is called once the first file has been copied. */
  const registerWhile = (fingerprint: RegisterRequest['fingerprint'], meddle: () => void) => {
    let done = false;
    return registerSource(
      project.deps,
      { name: 'data', uri: 'set', description: 'd', ...(fingerprint ? { fingerprint } : {}) },
      {
        progress: () => {
          if (!done) meddle();
          done = true;
        },
      },
    );
  };
  const changed = { code: 'CONFLICT', retryable: true };

  beforeEach(() => {
    project.write('set/a', 'first');
    project.write('set/b', Buffer.alloc(3 * (1 << 20), 'b'));
  });

  it.each(['full', 'sample', 'declared'] as const)('are refused when checked by %s', async (fingerprint) => {
    const set = (path: string): string => join(project.root, 'set', path);
    const meddlers: [string, () => void][] = [
      ['written to behind the copy', () => appendFileSync(set('a'), 'more')],
      ['written to before the copy', () => appendFileSync(set('b'), 'more')],
      [
        'replaced',
        () => {
          rmSync(set('b'));
          writeFileSync(set('b'), Buffer.alloc(3 * (1 << 20), 'b'));
        },
      ],
      ['removed', () => rmSync(set('b'))],
      [
        'replaced by a link to secrets',
        () => {
          rmSync(set('b'));
          symlinkSync('/etc/passwd', set('b'));
        },
      ],
      ['added to', () => writeFileSync(set('c'), 'new')],
    ];
    for (const [what, meddle] of meddlers) {
      await expect(registerWhile(fingerprint, meddle), what).rejects.toMatchObject(changed);
      rmSync(join(project.root, 'set'), { recursive: true });
      project.write('set/a', 'first');
      project.write('set/b', Buffer.alloc(3 * (1 << 20), 'b'));
    }
    expect(listSourceNames(project.db)).toEqual([]);
    expect(scratch()).toEqual([]);
  });

  it('are refused when a folder on the way becomes a link to elsewhere', async () => {
    project.write('set/sub/x', 'inside');
    project.write('elsewhere/x', 'inside');
    await expect(
      registerWhile('declared', () => {
        rmSync(join(project.root, 'set/sub'), { recursive: true });
        symlinkSync('../elsewhere', join(project.root, 'set/sub'));
      }),
    ).rejects.toMatchObject(changed);
  });

  it('are refused although their times were set back', async () => {
    const file = join(project.root, 'set/a');
    // A time that can be set back to the nanosecond.
    const then = new Date('2026-01-01T00:00:00.000Z');
    utimesSync(file, then, then);
    await expect(
      registerWhile('declared', () => {
        writeFileSync(file, 'other');
        utimesSync(file, then, then);
      }),
    ).rejects.toMatchObject(changed);
  });
});

describe('an opened file', () => {
  const entryOf = async (path: string): Promise<Extract<SurveyedEntry, { kind: 'file' }>> => {
    const [entry] = (await surveySource(path)).entries;
    if (entry?.kind !== 'file') throw new Error('no file');
    return entry;
  };

  it('is refused where a folder on the way is a link, although the file is the same', async () => {
    const file = project.write('real/x', 'x');
    symlinkSync('real', join(project.root, 'linked'));
    const entry = await entryOf(file);
    await expect(withSource(file, entry, async () => 'read')).resolves.toBe('read');
    const through = withSource(join(project.root, 'linked/x'), entry, async () => 'read');
    await expect(through).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('is refused where it was written to during the work', async () => {
    const file = project.write('x', 'x');
    const work = withSource(file, await entryOf(file), async () => appendFileSync(file, 'more'));
    await expect(work).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

describe('the fingerprint', () => {
  it.each(['full', 'sample', 'declared'] as const)(
    '%s is recorded, and the hash is of the copy',
    async (fingerprint) => {
      const bytes = Buffer.alloc(5 * (1 << 20), 'goldfish');
      project.write('numbers', bytes);
      const { source } = await register({ uri: 'numbers', fingerprint });
      expect(source).toMatchObject({ fingerprint, hash: sha256(bytes) });
    },
  );

  it('says how much of the original is compared with the copy', async () => {
    const bytes = Buffer.alloc(4 * (1 << 20), 'x');
    const from = project.write('original', bytes);
    const survey = await surveySource(from);
    const passes = (at: number): Promise<string[]> => {
      const into = project.write('copy', bytes.fill('x'));
      project.write('copy', bytes.fill('y', at, at + 1));
      const outcomes = (['declared', 'sample', 'full'] as const).map((fingerprint) =>
        verifyCopy({ from, into, survey, fingerprint }).then(
          () => [fingerprint],
          () => [],
        ),
      );
      return Promise.all(outcomes).then((all) => all.flat());
    };
    expect(await passes(0)).toEqual(['declared']);
    expect(await passes(bytes.length - 1)).toEqual(['declared']);
    expect(await passes(100_000)).toEqual(['declared', 'sample']);
  });
});
