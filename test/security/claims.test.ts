import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isTested } from './titles.ts';

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
    expect(isTested(readFileSync(join(ROOT, file), 'utf8'), title), `${file}: ${title}`).toBe(true);
  });

  it('names a test in each row of its last table', () => {
    const table = TEXT.slice(TEXT.indexOf('| What | Test |'));
    const lines = table.split('\n').filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(lines.length - 2);
    expect(rows.length).toBeGreaterThan(20);
  });
});

describe('a test', () => {
  it.each([
    "it('holds', () => {",
    "it.skipIf(!docker)(\n  'holds', () => {",
    "it.each(['a // b', 'c'])('%s holds', () => {",
    "describe('it', () => {\n  it('holds', () => {",
    "it.skip('is for later', () => {});\nit('holds', () => {",
  ])('is one that is executed: %j', (source) => {
    expect(isTested(source, 'holds')).toBe(true);
  });

  it.each([
    "const why = 'holds';",
    "it.skip('holds', () => {",
    "it.todo('holds');",
    "it.skip.each(['a'])('%s holds', () => {",
    "  // it('holds', () => {",
    "/*\nit('holds', () => {\n*/",
    "describe.skip('it', () => {\n  it('holds', () => {",
    "it('fails', () => {",
  ])('is none where it is skipped for good, in a comment or not there: %j', (source) => {
    expect(isTested(source, 'holds')).toBe(false);
  });
});
