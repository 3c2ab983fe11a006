import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { assetPath, programPath } from '../../src/core/assets.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

it('finds what ships beside the code from the root of the package', () => {
  expect(assetPath('package.json')).toBe(join(ROOT, 'package.json'));
  expect(existsSync(assetPath('schema.sql'))).toBe(true);
});

it('names the programs of a checkout as Node runs them', () => {
  expect(programPath('supervisor/main')).toBe(join(ROOT, 'src/supervisor/main.ts'));
});
