import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TEXT = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');

const rows = [...TEXT.matchAll(/^\| (.+?) \| `(test\/[^`]+)` \| (.+?) \|$/gm)].map(
  ([, what, file, title]) => ({
    what,
    file: file ?? '',
    title: title ?? '',
  }),
);

describe('what SECURITY.md says', () => {
  it.each(rows)('of $what is proven by a test that is there: $title', ({ file, title }) => {
    expect(existsSync(join(ROOT, file)), file).toBe(true);
    expect(readFileSync(join(ROOT, file), 'utf8')).toContain(title);
  });

  it('names a test in each row of its last table', () => {
    const table = TEXT.slice(TEXT.indexOf('| What | Test |'));
    const lines = table.split('\n').filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(lines.length - 2);
    expect(rows.length).toBeGreaterThan(20);
  });
});
