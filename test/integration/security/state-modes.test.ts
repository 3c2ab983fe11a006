import { lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';
import { start } from '../cli-program.ts';
import { entriesBelow } from './attacked-project.ts';

let folder: string;
afterEach(() => rmSync(folder, { recursive: true }));

/** Goldfish, started by somebody who lets others read and write all he makes. */
const CARELESS = 'import os, sys; os.umask(0); os.execvp(sys.argv[1], sys.argv[1:])';

it('can be read by nobody else, whatever the user’s mask lets through', { timeout: 60_000 }, async () => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-modes-'));
  const goldfish = async (...words: string[]): Promise<void> => {
    const argv = ['python3', '-c', CARELESS, process.execPath, assetPath('bin/goldfish.js'), ...words];
    const { code, err } = await start(argv, { cwd: folder, stdin: '' }).ended;
    expect({ words, code, err }).toMatchObject({ code: 0 });
  };
  await goldfish('init', 'careless');
  await goldfish('workspace', 'create', 'baseline', '--goal', 'Be there', '--reason', 'A test of the modes');
  await goldfish('mount', 'baseline', '--reason', 'A test of the modes');
  const state = join(folder, '.goldfish');
  // Nobody gets through this door, so what lies behind it needs none of its own; the database has one all the same.
  expect(lstatSync(state).mode & 0o777).toBe(0o700);
  const files = entriesBelow(state).filter(
    ({ kind, path }) => kind === 'file' && /goldfish\.db|\/log\//.test(path),
  );
  expect(files.length).toBeGreaterThan(0);
  expect(files.filter(({ path }) => (lstatSync(path).mode & 0o077) !== 0).map(({ name }) => name)).toEqual(
    [],
  );
});
