import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { diskShortage, diskState, requireDiskRoom } from '../../src/data/disk.ts';
import { registerSource } from '../../src/data/register-source.ts';
import { diskSpace, freeBytesNow } from '../../src/os/disk-space.ts';
import { createTestClock } from '../support/test-clock.ts';
import { createDataProject, type DataProject } from './data-project.ts';

let project: DataProject;
beforeEach(async () => {
  const { clock } = createTestClock(systemClock.now() + 100 * 86_400_000);
  project = await createDataProject({ clock });
});
afterEach(() => project.dispose());

const holdingBack = (minFreeBytes: number) => {
  const { storage } = project.deps.config;
  return { ...project.deps, config: { storage: { ...storage, keep: { ...storage.keep, minFreeBytes } } } };
};
const MORE_THAN_ANY = 1e18;

it('keeps new work back while less is free than is held back, and says what gc can give', async () => {
  project.write('.goldfish/scratch/left/file', 'x'.repeat(300_000));
  const deps = holdingBack(MORE_THAN_ANY);
  expect(diskShortage(deps)).toMatch(
    /^room on the disk: [\d.]+ [GT]B are free, storage\.keep\.min_free_gb holds back \d+ TB$/,
  );
  await expect(requireDiskRoom(deps)).rejects.toMatchObject({
    code: 'STORAGE_UNAVAILABLE',
    message: expect.stringMatching(/^New work waits for room on the disk: /),
    hint: expect.stringMatching(/^`goldfish gc` frees [\d.]+ KB: leftovers [\d.]+ KB\.$/),
    details: { freeable_bytes: { leftovers: expect.any(Number) } },
    retryable: true,
  });
});

it('says so where gc has nothing to give', async () => {
  await expect(requireDiskRoom(holdingBack(MORE_THAN_ANY))).rejects.toMatchObject({
    hint: expect.stringMatching(/^`goldfish gc` has nothing to free now\. Delete what else is on the disk/),
  });
});

it('keeps nothing back where there is room, or where 0 is held back', async () => {
  expect(diskShortage(holdingBack(1))).toBeNull();
  expect(diskShortage(holdingBack(0))).toBeNull();
  await expect(requireDiskRoom(holdingBack(1))).resolves.toBeUndefined();
});

it('counts stored content once', async () => {
  project.write('numbers', 'x'.repeat(1_000));
  for (const name of ['one', 'two']) {
    await registerSource(project.deps, { name, uri: 'numbers', description: 'd' });
  }
  const state = await diskState(holdingBack(7));
  expect(state).toMatchObject({ storedBytes: 1_000, minFreeBytes: 7 });
  expect(state.freeBytes).toBeGreaterThan(0);
  expect(state.totalBytes).toBeGreaterThanOrEqual(state.freeBytes);
});

it('asks the disk that a folder will be on before it is there', async () => {
  const missing = `${project.root}/not/there/yet`;
  const [space, there] = [await diskSpace(missing), await diskSpace(project.root)];
  expect(space.totalBytes).toBe(there.totalBytes);
  expect(freeBytesNow(missing)).toBeGreaterThan(0);
});
