import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isIntact } from '../../src/data/verified-file.ts';

let folder: string;
let file: string;
const hashOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-intact-'));
  file = join(folder, 'object');
  writeFileSync(file, 'content');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('sees that a stored file has other content, also of the same size and time as before', async () => {
  expect(await isIntact(file, hashOf('content'))).toBe(true);
  expect(await isIntact(file, hashOf('content'))).toBe(true);
  utimesSync(file, 1_000, 1_000);
  expect(await isIntact(file, hashOf('content'))).toBe(true);
  writeFileSync(file, 'CONTENT');
  utimesSync(file, 1_000, 1_000);
  expect(await isIntact(file, hashOf('content'))).toBe(false);
  expect(await isIntact(file, hashOf('content'))).toBe(false);
});
