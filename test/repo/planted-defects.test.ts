import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PATCHES = join(ROOT, 'test/patches');

/** That each turns its test red is `npm run check:defects`; here only that none has fallen behind the code. */
it('every planted defect can be planted, and names the behaviour it breaks', async () => {
  const files = (await readdir(PATCHES, { recursive: true })).filter((name) => name.endsWith('.patch'));
  expect(files.length).toBeGreaterThan(40);
  const stale: string[] = [];
  for (const file of files) {
    await promisify(execFile)('git', ['apply', '--check', join(PATCHES, file)], { cwd: ROOT }).catch(() =>
      stale.push(file),
    );
  }
  expect(stale).toEqual([]);
});
