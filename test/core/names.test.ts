import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clip,
  ENVIRONMENT_NAME_PATTERN,
  formatVersion,
  isName,
  parseReference,
  parseVersion,
  requireName,
} from '../../src/core/names.ts';

const LETTERS = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'];
const anyName = fc
  .tuple(
    fc.constantFrom(...LETTERS),
    fc.string({ unit: fc.constantFrom(...LETTERS, '-', '_'), maxLength: 63 }),
  )
  .map((parts) => parts.join(''))
  .filter(isName);

describe('a name', () => {
  it.each(['a', '0', 'w1', 'My-Exp_2', 'a'.repeat(64), 'stage-1', 'run'])('may be %s', (name) => {
    expect(requireName(name, 'workspace')).toBe(name);
  });

  it.each([
    '',
    '.',
    '..',
    '-rf',
    '--help',
    '_a',
    'a b',
    'a/b',
    '../../x',
    'a.b',
    'ä',
    'a\n',
    'a\0',
    ' a',
    'a@v1',
    'a'.repeat(65),
    'x'.repeat(100_000),
  ])('may not be %j', (name) => {
    expect(() => requireName(name, 'workspace')).toThrow('is not a valid workspace name.');
  });

  it.each(['CON', 'nul', 'HEAD', 'latest', 'stage-0a1b2c', 'prun-0a1b2c3d4e5f', 'sweep-abcdef'])(
    'may not be %s, which already means something',
    (name) => {
      expect(() => requireName(name, 'tag')).toThrow(`"${name}" is reserved and cannot be a tag name.`);
    },
  );

  it('is never an option, a path or a reference of another kind', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        expect(name).not.toMatch(/^[-.]|[/\\@\s\0]/);
        expect(parseReference(name)).toEqual({ kind: 'name', name });
      }),
    );
  });

  it('is refused with the field, the rule and what was typed, shortened', () => {
    expect(() => requireName(`${'x'.repeat(200)}`, 'stage')).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: `"${'x'.repeat(80)}…" is not a valid stage name.`,
        hint: 'Use 1 to 64 letters, digits, "-" or "_", starting with a letter or digit.',
        details: { field: 'stage', pattern: '^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$' },
      }),
    );
  });
});

describe('a reference', () => {
  it.each([
    ['exp', { kind: 'name', name: 'exp' }],
    ['exp@v12', { kind: 'version', name: 'exp', version: 12 }],
    ['@best', { kind: 'tag', tag: 'best' }],
    ['exp@best', { kind: 'tag', tag: 'best', name: 'exp' }],
    ['stage-0a1b2c', { kind: 'run', id: 'stage-0a1b2c' }],
    ['stage-0a1b2c3d4e5f', { kind: 'run', id: 'stage-0a1b2c3d4e5f' }],
    ['prun-0a1b2c', { kind: 'pipeline_run', id: 'prun-0a1b2c' }],
    ['exp@v0', { kind: 'tag', tag: 'v0', name: 'exp' }],
  ])('%s is read', (text, reference) => {
    expect(parseReference(text)).toEqual(reference);
  });

  it.each(['', '@', 'exp@', 'exp@v1@v2', '../x@v1', 'exp@../x', 'exp @v1', '@-x'])(
    '%j is refused',
    (text) => {
      expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    },
  );

  it('to a version of any name comes back as it was written', () => {
    fc.assert(
      fc.property(anyName, fc.integer({ min: 1, max: 999_999_999 }), (name, version) => {
        expect(parseReference(`${name}@${formatVersion(version)}`)).toEqual({
          kind: 'version',
          name,
          version,
        });
      }),
    );
  });

  it('never throws anything but a coded error', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseReference(text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
        }
      }),
    );
  });
});

it.each(['v', 'v0', 'v01', 'V1', '1', 'v1.0', 'v-1', ' v1', 'v1\n', 'v9999999999'])(
  '%j is no version',
  (text) => {
    expect(parseVersion(text)).toBeUndefined();
  },
);

it.each([
  ['PATH', true],
  ['_X1', true],
  ['path', false],
  ['1X', false],
  ['A-B', false],
  ['A=B', false],
  ['A\n', false],
  ['', false],
])('%j as an environment name: %s', (name, valid) => {
  expect(ENVIRONMENT_NAME_PATTERN.test(name)).toBe(valid);
});

describe('clipped text', () => {
  it('stands on one line and is as long as allowed', () => {
    expect(clip('a\r\n\tb\u2028c\u0000d')).toBe('a b c d');
    expect(clip('abcdef', 3)).toBe('abc…');
    expect(clip('abc', 3)).toBe('abc');
  });

  it('is never cut within a character', () => {
    expect(clip('🐟🐟🐟', 2)).toBe('🐟🐟…');
  });

  it('is well-formed, bounded and without control characters whatever comes in', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 400 }),
        fc.integer({ min: 1, max: 100 }),
        (text, max) => {
          const shown = clip(text, max);
          expect(shown.isWellFormed()).toBe(true);
          expect([...shown].length).toBeLessThanOrEqual(max + 1);
          expect(shown).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        },
      ),
    );
  });

  it('costs nothing on huge text', () => {
    expect(clip('x'.repeat(5_000_000)).length).toBe(81);
  });
});
