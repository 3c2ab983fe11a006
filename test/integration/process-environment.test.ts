import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { codeFiles } from '../../src/backends/code-files.ts';
import type { Runtime } from '../../src/backends/port.ts';
import { environmentKey } from '../../src/backends/process/process-backend.ts';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { writeWheel as wheel } from '../support/wheel.ts';

let h: Harness;
beforeEach(async () => {
  h = await openHarness('none');
});
afterEach(() => h.close());

const key = (): Promise<string> => environmentKey(h.options, codeFiles(h.codeDir));

async function build(lines: string[] = [], signal?: AbortSignal): Promise<Runtime> {
  const onLine = (text: string): void => void lines.push(text);
  return h.backend.build(
    { key: await key(), codeDir: h.codeDir, codeHash: '', image: null },
    { onLine, ...(signal ? { signal } : {}) },
  );
}

const writeWheel = (name: string, version: string): Promise<string> => wheel(h.codeDir, name, version);

it('uses the interpreter as it is where there is no requirements.txt', async () => {
  const runtime = await build();
  expect(runtime.data).toEqual({ python: expect.stringMatching(/python/), environment: null });
  expect(runtime.description).toMatch(/^CPython 3\.\d+\.\d+$/);
  expect(runtime.key).toBe(await key());
});

it('makes a virtual environment with what requirements.txt asks for, once', {
  timeout: 120_000,
}, async () => {
  const wheel = await writeWheel('tinypkg', '1.2.3');
  await h.write('requirements.txt', `--no-index\n-r more.txt\n`);
  await h.write('more.txt', `./${wheel}  # here\n`);
  const lines: string[] = [];
  const runtime = await build(lines);
  expect(lines.join('\n')).toContain('Successfully installed tinypkg-1.2.3');
  expect(runtime.data['packages']).toEqual(['tinypkg==1.2.3']);
  expect(runtime.description).toMatch(/with 1 packages from requirements\.txt$/);

  const { handle, result } = await h.run({
    runtime,
    command: [
      'python',
      '-c',
      'import tinypkg, sys, os; print(tinypkg.VERSION, sys.prefix == os.environ["VIRTUAL_ENV"])',
    ],
  });
  expect(result.exitCode).toBe(0);
  expect(await h.log(handle)).toEqual(['1.2.3 True']);

  const again: string[] = [];
  expect(await build(again)).toEqual(runtime);
  expect(again).toEqual([]);
});

it('builds one environment for several that ask at once, and again what a killed build left', {
  timeout: 120_000,
}, async () => {
  const wheel = await writeWheel('tinypkg', '1.0');
  await h.write('requirements.txt', `--no-index\n./${wheel}\n`);
  const home = join(h.layout.environments, (await key()).replace('sha256:', ''));
  await mkdir(join(home, 'deadbeef', 'bin'), { recursive: true });
  await writeFile(join(home, 'ready.json'), '{"folder": "dead');
  const runtimes = await Promise.all([build(), build(), build()]);
  expect(new Set(runtimes.map((runtime) => JSON.stringify(runtime))).size).toBe(1);
  expect((await readdir(home)).sort()).toEqual([expect.stringMatching(/^[0-9a-f]{8}$/), 'ready.json']);
});

it('takes into the key what requirements.txt leads to, and nothing else', async () => {
  const seen = new Set([await key()]);
  const changed = async (path: string, content: string): Promise<boolean> => {
    await h.write(path, content);
    const now = await key();
    const isNew = !seen.has(now);
    seen.add(now);
    return isNew;
  };
  expect(await changed('modules/train.py', 'print(1)')).toBe(false);
  expect(
    await changed('requirements.txt', '-r sub/more.txt\n-cpins.txt\n./pkg[extra] ; python_version > "3"\n'),
  ).toBe(true);
  expect(await changed('sub/more.txt', 'x==1\n--requirement=deep.txt\n')).toBe(true);
  expect(await changed('sub/deep.txt', '# comment\n')).toBe(true);
  expect(await changed('deep.txt', 'not this one')).toBe(false);
  expect(await changed('pins.txt', 'y==1')).toBe(true);
  expect(await changed('pkg/setup.py', 'setup()')).toBe(true);
  expect(await changed('pkg/src/a.py', 'a')).toBe(true);
  expect(await changed('pkg2/a.py', 'a')).toBe(false);
  expect(await changed('sub/deep.txt', '-r more.txt\n')).toBe(true);
});

it('refuses references out of the version, all at once with their lines', async () => {
  await h.write(
    'requirements.txt',
    'numpy\n-r ../other.txt\n./missing\n/opt/x.whl\n-e file:///opt/y\n-c nothing.txt\n',
  );
  await expect(build()).rejects.toMatchObject({
    code: 'INVALID_CONFIG',
    details: {
      problems: [2, 3, 4, 5, 6].map((line) =>
        expect.objectContaining({ file: 'requirements.txt', line, column: 1 }),
      ),
    },
  });
  await rm(join(h.codeDir, 'requirements.txt'));
});

it('refuses an editable install, which would point to files that are gone after the build', async () => {
  await h.write('requirements.txt', '# ours\n-e ./pkg\n');
  await expect(build()).rejects.toMatchObject({
    code: 'INVALID_CONFIG',
    message: expect.stringMatching(/^requirements\.txt:2:1: "\.\/pkg" is to be installed in editable form/),
  });
  await rm(join(h.codeDir, 'requirements.txt'));
});

it('names the line pip cannot read', { timeout: 60_000 }, async () => {
  await h.write('requirements.txt', '--no-index\n# fine\nthis is = not a requirement\n');
  await expect(build()).rejects.toMatchObject({
    code: 'INVALID_CONFIG',
    message: expect.stringMatching(/^requirements\.txt:3:1: Invalid requirement/),
  });
});

it('names the line of a package that does not exist', { timeout: 60_000 }, async () => {
  await h.write('requirements.txt', '--no-index\n-r more.txt\n');
  await h.write('more.txt', '\nNo_such-package == 1.0\n');
  await expect(build()).rejects.toMatchObject({
    code: 'INVALID_CONFIG',
    message: expect.stringMatching(
      /^more\.txt:2:1: No matching distribution found for no[-_]such-package==1\.0/i,
    ),
  });
});

it('says that the index cannot be reached, which is no fault of the file', { timeout: 60_000 }, async () => {
  const environment = {
    PATH: process.env['PATH'],
    PIP_INDEX_URL: 'http://127.0.0.1:9/simple',
    PIP_RETRIES: '1',
    PIP_CONFIG_FILE: '/dev/null',
  };
  const offline = await openHarness('none', { hostEnvironment: environment });
  try {
    await offline.write('requirements.txt', 'some-package\n');
    const wanted = await environmentKey(offline.options, codeFiles(offline.codeDir));
    await expect(
      offline.backend.build(
        { key: wanted, codeDir: offline.codeDir, codeHash: '', image: null },
        { onLine: () => undefined },
      ),
    ).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE', retryable: true });
  } finally {
    await offline.close();
  }
});

it('leaves nothing that counts when a build is aborted', { timeout: 60_000 }, async () => {
  const wheel = await writeWheel('tinypkg', '1.0');
  await h.write('requirements.txt', `--no-index\n./${wheel}\n`);
  const abort = new AbortController();
  const building = h.backend.build(
    { key: await key(), codeDir: h.codeDir, codeHash: '', image: null },
    { signal: abort.signal, onLine: () => abort.abort() },
  );
  await expect(building).rejects.toMatchObject({ name: 'AbortError' });
  const home = join(h.layout.environments, (await key()).replace('sha256:', ''));
  expect(await readdir(home)).toEqual([]);
  expect((await build()).data['packages']).toEqual(['tinypkg==1.0']);
});

it('refuses a build for another interpreter than was planned with', async () => {
  const planned = h.backend.build(
    { key: `sha256:${'0'.repeat(64)}`, codeDir: h.codeDir, codeHash: '', image: null },
    { onLine: () => undefined },
  );
  await expect(planned).rejects.toMatchObject({ code: 'CONFLICT' });
});

it('says what to do where there is no interpreter', async () => {
  const none = await openHarness('none', { python: 'no-such-python' });
  try {
    expect(await none.backend.probe()).toMatchObject({
      available: false,
      why: 'no-such-python was not found.',
    });
    await expect(environmentKey(none.options, codeFiles(none.codeDir))).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      hint: 'Install Python 3.8 or newer, or name one with process.python in goldfish.yaml.',
    });
  } finally {
    await none.close();
  }
});
