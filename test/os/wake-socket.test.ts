import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { listenForWakes, poke, wakeSocketPath } from '../../src/os/wake-socket.ts';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-wake-'));
  path = join(folder, 'own', 'x.sock');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

it('is found by everyone who knows the state folder, at a path a socket may have', () => {
  const deep = `/home/${'x'.repeat(400)}/.goldfish`;
  expect(wakeSocketPath('/run/user/1000/goldfish', deep)).toBe(
    wakeSocketPath('/run/user/1000/goldfish', deep),
  );
  expect(wakeSocketPath('/run/user/1000/goldfish', deep).length).toBeLessThan(108);
  expect(wakeSocketPath('/r', '/a')).not.toBe(wakeSocketPath('/r', '/b'));
});

it('is rung by a poke, as often as it is poked', async () => {
  let rings = 0;
  const { promise: rung, resolve } = Promise.withResolvers<void>();
  const listener = await listenForWakes(path, () => {
    rings += 1;
    if (rings === 3) resolve();
  });
  expect(await poke(path)).toBe(true);
  expect(await poke(path)).toBe(true);
  expect(await poke(path)).toBe(true);
  await rung;
  await listener.close();
});

it('does not mind that nobody listens', async () => {
  expect(await poke(path)).toBe(false);
  await mkdir(join(folder, 'own'));
  await writeFile(path, 'not a socket');
  expect(await poke(path)).toBe(false);
});

it('takes the place of a socket that a dead listener left', async () => {
  await mkdir(join(folder, 'own'), { mode: 0o700 });
  await writeFile(path, '');
  const { promise: rung, resolve } = Promise.withResolvers<void>();
  const listener = await listenForWakes(path, resolve);
  await poke(path);
  await rung;
  await listener.close();
});

it('is not held open by a caller that says nothing', async () => {
  const listener = await listenForWakes(path, () => undefined);
  const silent = connect(path);
  await new Promise((resolve) => silent.once('connect', resolve));
  await listener.close();
  silent.destroy();
});

it.each([
  [
    'a folder that others may write to',
    async (own: string) => {
      await mkdir(own);
      await chmod(own, 0o777);
    },
  ],
  ['a link to another folder', async (own: string) => symlink(tmpdir(), own)],
])('refuses %s', async (_, make) => {
  await make(join(folder, 'own'));
  await expect(listenForWakes(path, () => undefined)).rejects.toMatchObject({
    code: 'STORAGE_UNAVAILABLE',
    message: 'The folder for wake-up sockets belongs to someone else, or others may write to it.',
  });
});
