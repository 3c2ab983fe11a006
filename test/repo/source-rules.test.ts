import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url));

/** What linter and layer check do not see. `example` breaks the rule, so that a rule that sees nothing is noticed. */
const RULES: { name: string; pattern: RegExp; allowed?: RegExp; example: string }[] = [
  {
    name: 'time comes from the clock',
    pattern: /\bDate\.now\b|\bnew Date\(\)|\bprocess\.hrtime\b/,
    allowed: /^core\/clock\.ts$/,
    example: 'const at = new Date();',
  },
  { name: 'nothing is left to chance', pattern: /\bMath\.random\b/, example: 'Math.random()' },
  {
    name: 'SQL stands in the store',
    pattern: /\b(SELECT\s[^;]*\sFROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b|\bdb\.prepare[<(]/,
    allowed: /^store\//,
    example: "db.prepare('x')",
  },
  { name: 'types are not cast away', pattern: /\bas unknown as\b/, example: 'x as unknown as Y' },
  {
    name: 'no check is switched off',
    pattern: /@ts-(ignore|expect-error|nocheck)|biome-ignore|v8 ignore/,
    example: '// @ts-expect-error later',
  },
  {
    name: 'no shell is given a text',
    pattern: /\bshell:\s*(true|')|\b(exec|execSync)\(|\bspawn(Sync)?\(\s*'(ba|da)?sh'/,
    example: 'execSync(command)',
  },
  {
    name: 'children share no pipe with the protocol',
    pattern: /stdio:.*'inherit'/,
    example: "spawn(x, [], { stdio: 'inherit' })",
  },
  { name: 'nothing is left to do later', pattern: /\b(TODO|FIXME|XXX|HACK)\b/, example: '// TODO: later' },
];

function breaks(path: string, text: string): string[] {
  return RULES.filter((rule) => !rule.allowed?.test(path))
    .filter((rule) => text.split('\n').some((line) => rule.pattern.test(withoutMethodExec(line))))
    .map((rule) => `${path}: ${rule.name}`);
}

/** `pattern.exec(text)` and `sqlite.exec(sql)` are no child processes. */
function withoutMethodExec(line: string): string {
  return line.replaceAll(/\.exec\(/g, '.matched(');
}

describe('the rules', () => {
  it.each(RULES)('see that "$name" is broken', ({ name, example }) => {
    expect(breaks('runs/planted.ts', example)).toContain(`runs/planted.ts: ${name}`);
  });
});

it('are kept by every file of src', async () => {
  const files = (await readdir(SOURCE, { recursive: true })).filter((file) => file.endsWith('.ts'));
  const found = await Promise.all(
    files.map(async (file) => breaks(file, await readFile(join(SOURCE, file), 'utf8'))),
  );
  expect(files.length).toBeGreaterThan(20);
  expect(found.flat()).toEqual([]);
});
