import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inputPlaceholders } from '../../../src/backends/docker/input-places.ts';
import type { SpecInput } from '../../../src/backends/port.ts';
import { asOrdinaryUser } from '../../support/ordinary-user.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'goldfish-places-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const input = (kind: SpecInput['kind'], fileName: string): SpecInput => {
  return { name: 'raw', type: 'csv', hash: 'sha256:x', kind, fileName, localPath: '/none' };
};

it('gives an ordinary user the places of inputs again where a launch was cut short', async () => {
  const inputs = [input('file', 'raw.csv'), input('folder', 'images'), input('file', 'deep/er.npy')];
  const places = join(dir, 'inputs');
  await asOrdinaryUser([dir], async () => {
    await inputPlaceholders(places, inputs);
    await inputPlaceholders(places, inputs);
  });
  expect(await readFile(join(places, 'raw.csv'), 'utf8')).toBe('');
  expect((await stat(join(places, 'raw.csv'))).mode & 0o222).toBe(0);
  expect((await stat(join(places, 'images'))).isDirectory()).toBe(true);
  expect((await stat(join(places, 'deep', 'er.npy'))).isFile()).toBe(true);
});
