import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readYaml } from '../../src/config/yaml-file.ts';

function problemsIn(text: string): string[] {
  return readYaml('f.yaml', text).problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

describe('reading YAML', () => {
  it('gives plain JSON values', () => {
    const { root, problems } = readYaml(
      'f.yaml',
      'a: [1, 0x1F, 1.5, true, null, text]\nb: { c: "1" }\n1: yes\n',
    );
    expect(root?.value).toEqual({ a: [1, 31, 1.5, true, null, 'text'], b: { c: '1' }, 1: 'yes' });
    expect(problems).toEqual([]);
  });

  it('reads an empty file, and one of comments only, as null', () => {
    expect(readYaml('f.yaml', '').root?.value).toBeNull();
    expect(readYaml('f.yaml', '# nothing\n').root?.value).toBeNull();
  });

  it('knows where each key and value stands, from 1', () => {
    const { locate } = readYaml('f.yaml', 'a:\n  - b: x\n    c:\n');
    expect(locate(['a', 0, 'b'], 'key')).toEqual({ file: 'f.yaml', line: 2, column: 5 });
    expect(locate(['a', 0, 'b'])).toEqual({ file: 'f.yaml', line: 2, column: 8 });
  });

  it('points at the key where the value is left out', () => {
    expect(readYaml('f.yaml', 'a:\n  c:\n\n').locate(['a', 'c'])).toMatchObject({ line: 2, column: 3 });
  });

  it('points at the key around what is missing', () => {
    const { locate } = readYaml('f.yaml', 'x: 1\na:\n  b: 1\n');
    expect(locate(['a', 'missing', 'deeper'])).toMatchObject({ line: 2, column: 1 });
  });

  it('keeps lines and columns right after a byte order mark and with Windows line ends', () => {
    const { root, locate } = readYaml('f.yaml', '\uFEFFa: 1\r\nb:\r\n  c: x\r\n');
    expect(root?.value).toEqual({ a: 1, b: { c: 'x' } });
    expect(locate(['a'], 'key')).toMatchObject({ line: 1, column: 1 });
    expect(locate(['b', 'c'])).toMatchObject({ line: 3, column: 6 });
  });

  it('keeps count of lines after text that does not fit', () => {
    const [, second] = readYaml('f.yaml', "'x',|\na: {").problems;
    expect(second).toMatchObject({ line: 2, column: 5 });
  });

  it('follows aliases, and places them where they stand', () => {
    const { root, locate, problems } = readYaml('f.yaml', 'a: &x { k: 1 }\nb: *x\n');
    expect(root?.value).toEqual({ a: { k: 1 }, b: { k: 1 } });
    expect(locate(['b'])).toMatchObject({ line: 2, column: 4 });
    expect(problems).toEqual([]);
  });

  it.each([
    [
      'a duplicate key',
      'a: 1\nb: 2\n"a": 3\n',
      ['3:1 The key "a" stands here a second time; the first is on line 1.'],
    ],
    ['a tab', 'a:\n\tb: 1\n', ['2:1 This is not valid YAML: Tabs are not allowed as indentation.']],
    ['a merge key', 'a: &x {}\nb:\n  <<: *x\n', ['3:3 Merge keys ("<<") are not supported.']],
    ['a __proto__ key', 'a: { __proto__: { b: 1 } }\n', ['1:6 The key "__proto__" is not allowed.']],
    ['an empty key', ': 1\n', ['1:1 A key must be plain text.']],
    ['a list as key', '? [a]\n: 1\n', ['1:3 A key must be plain text.']],
    ['an alias without anchor', 'a: *x\n', ['1:4 There is no anchor "&x" before this alias.']],
    ['a tag', 'a: !!python/object:os.system x\n', ['1:4 Tags ("!…") are not supported.']],
    ['a second document', 'a: 1\n---\nb: 1\n', ['2:1 A second document begins here; only one is read.']],
    ['an older YAML', '%YAML 1.1\n---\na: yes\n', ['1:1 Files are read as YAML 1.2, whatever they declare.']],
    ['an infinity', 'a: .inf\n', ['1:4 The number .inf cannot be kept exactly.']],
    [
      'a number too long',
      'a: 12345678901234567890\n',
      ['1:4 The number 12345678901234567890 cannot be kept exactly.'],
    ],
    ['a number too large', 'a: 1e400\n', ['1:4 The number 1e400 cannot be kept exactly.']],
    [
      'text that fits nowhere',
      'a: { b: c{x} }\n',
      ['1:10 This is not valid YAML: this text does not fit here.'],
    ],
    ['a quote left open', 'a: "x\n', ['2:1 This is not valid YAML: Missing closing "quote.']],
  ])('refuses %s', (_, text, expected) => {
    expect(problemsIn(text)).toEqual(expected);
  });

  it('keeps the first of two equal keys, so that the rest can be checked', () => {
    expect(readYaml('f.yaml', 'a: 1\na: 2\n').root?.value).toEqual({ a: 1 });
  });

  it('has a hint for every problem', () => {
    const texts = [
      'a: 1\na: 2',
      'a:\n\tb: 1',
      ': 1',
      'a: *x',
      'a: !x 1',
      'a: 1\n---\n',
      'a: .nan',
      'a: [',
      'a: b: c',
      '<<: 1',
    ];
    const problems = texts.flatMap((text) => readYaml('f.yaml', text).problems);
    expect(problems).toHaveLength(texts.length);
    expect(problems.filter(({ hint }) => hint === undefined)).toEqual([]);
  });
});

describe('hostile YAML', { timeout: 60_000 }, () => {
  it('stops at aliases that unfold into a billion values', () => {
    const levels = Array.from({ length: 10 }, (_, i) =>
      `a${i}: &a${i} [${`*a${i - 1}, `.repeat(10)}]`.replaceAll('*a-1', 'x'),
    );
    const problems = readYaml('f.yaml', levels.join('\n')).problems;
    expect(problems.map(({ message }) => message)).toEqual(['The file unfolds to more than 100000 values.']);
  });

  it('stops at an alias within itself', () => {
    expect(problemsIn('a: &x [*x]\n')).toEqual(['1:7 The values are nested more than 50 levels deep.']);
  });

  it('stops at a hundred thousand brackets', () => {
    expect(problemsIn('['.repeat(100_000))).toHaveLength(1);
  });

  it('does not read a file of ten megabytes', () => {
    const text = `a: ${'x'.repeat(10 * 1024 * 1024)}`;
    expect(problemsIn(text)).toEqual([
      `1:1 The file has ${text.length} characters; at most 524288 are read.`,
    ]);
  });

  it('reports a hundred problems of forty thousand', () => {
    expect(problemsIn('k: 1\n'.repeat(40_000))).toHaveLength(100);
  });

  it('never throws, whatever the text', async () => {
    const piece = fc.constantFrom(
      'a',
      ': ',
      '\n',
      '  ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '&x ',
      '*x',
      '!!',
      '"',
      "'",
      '|',
      '>',
      '#',
      '%',
      '---',
      '\t',
      '? ',
      '<<',
      '\0',
      '\uFEFF',
      '\uD800',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')),
    );
    await fc.assert(
      fc.property(text, (random) => {
        const { root, problems } = readYaml('f.yaml', random);
        expect(root !== null || problems.length > 0).toBe(true);
        const lines = random.split('\n').length;
        for (const { line, column } of problems) {
          expect(line).toBeGreaterThan(0);
          expect(line).toBeLessThanOrEqual(lines);
          expect(column).toBeGreaterThan(0);
        }
        // What was read can be stored: it survives JSON.
        if (root !== null) expect(JSON.parse(JSON.stringify(root.value))).toEqual(root.value);
      }),
      { numRuns: 500 },
    );
  });
});
