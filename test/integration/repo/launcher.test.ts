import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findOldNode } from '../../../scripts/setup/old-node.ts';

const LAUNCHER = fileURLToPath(new URL('../../../bin/goldfish.js', import.meta.url));

let folder: string;
let launcher: string;

/** A package of its own with the launcher in it, so that what stands behind it is ours to choose. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-launcher-'));
  launcher = join(folder, 'bin', 'goldfish.js');
  await mkdir(dirname(launcher));
  await cp(LAUNCHER, launcher);
  await writeFile(join(folder, 'package.json'), '{"type": "module"}');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function addMain(path: string, code: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), code);
}

function launch(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const result = spawnSync(process.execPath, [launcher, ...args], {
    encoding: 'utf8',
    env: { ...env, XDG_CACHE_HOME: join(folder, 'cache') },
  });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

describe('the launcher', () => {
  it('runs the compiled program of a package, with its arguments and exit code', async () => {
    await addMain('dist/cli/main.js', 'console.log(process.argv.slice(2).join("|")); process.exitCode = 3;');
    expect(launch('run', 'a b')).toEqual({ status: 3, stdout: 'run|a b\n', stderr: '' });
  });

  it('runs the source of a checkout, even beside an older build', async () => {
    await addMain('dist/cli/main.js', 'console.log("built");');
    await addMain('src/cli/main.ts', 'const text: string = "source"; console.log(text);');
    expect(launch()).toEqual({ status: 0, stdout: 'source\n', stderr: '' });
  });

  it('keeps compiled code in the cache folder of the user', async () => {
    await addMain('dist/cli/main.js', 'console.log(1);');
    launch();
    expect(await readdir(join(folder, 'cache', 'goldfish', 'compile'))).not.toEqual([]);
  });

  it('starts where the cache folder cannot be made', async () => {
    await addMain('dist/cli/main.js', 'console.log(1);');
    await writeFile(join(folder, 'cache'), 'a file');
    expect(launch()).toEqual({ status: 0, stdout: '1\n', stderr: '' });
  });

  it('says in one line that the program is missing', () => {
    const { status, stdout, stderr } = launch();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^goldfish could not start: Cannot find module .*\n$/);
  });

  it('loads nothing before it has looked at the version', async () => {
    expect(await readFile(LAUNCHER, 'utf8')).not.toMatch(/^import /m);
  });

  const old = findOldNode();
  it.skipIf(old === undefined)(
    'refuses an older Node in one clear line (needs a Node older than 22.18 beside this one: GOLDFISH_SETUP=1 npm test)',
    () => {
      const result = spawnSync(old?.path ?? '', [LAUNCHER, 'status'], { encoding: 'utf8' });
      expect({ status: result.status, stdout: result.stdout, stderr: result.stderr }).toEqual({
        status: 1,
        stdout: '',
        stderr:
          `goldfish needs Node 22.18 or newer and found ${old?.version} (${old?.path}). ` +
          `Install it from https://nodejs.org, or run: npx -y node@24 ${LAUNCHER}\n`,
      });
    },
  );
});
