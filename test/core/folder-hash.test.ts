import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type FolderEntry,
  folderHash,
  folderManifest,
  parseFolderManifest,
} from '../../src/core/folder-hash.ts';
import { sha256 } from '../../src/core/json.ts';

const anyEntry: fc.Arbitrary<FolderEntry> = fc.record({
  path: fc
    .oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('a\nb', 'a/b', ' ', 'é', '\r', 'x\n100644'))
    .filter((path) => path !== '' && !path.includes('\0')),
  mode: fc.constantFrom('100644', '100755', '120000', '040000'),
  hash: fc.string().map(sha256),
});
const anyFolder = fc.uniqueArray(anyEntry, { selector: (entry) => entry.path, maxLength: 12 });

function line(path: string, mode: string, hash: string): string {
  return `${[path, mode, hash].join('\u0000')}\n`;
}

const byPath = (a: FolderEntry, b: FolderEntry): number => (a.path < b.path ? -1 : 1);

it('does not depend on the order in which a folder is read', () => {
  fc.assert(
    fc.property(anyFolder, (entries) => {
      expect(folderHash([...entries].reverse())).toBe(folderHash(entries));
    }),
  );
});

it('changes with every path, mode and content', () => {
  const file: FolderEntry = { path: 'a', mode: '100644', hash: sha256('1') };
  const hashes = [
    [],
    [file],
    [{ ...file, path: 'b' }],
    [{ ...file, mode: '100755' as const }],
    [{ ...file, hash: sha256('2') }],
    [file, { ...file, path: 'b' }],
  ].map(folderHash);
  expect(new Set(hashes).size).toBe(hashes.length);
});

it('is the hash of `path NUL mode NUL hash` lines sorted by bytes', () => {
  // As UTF-16 text U+FF5A sorts after U+1F41F; as bytes before it.
  const entries: FolderEntry[] = ['🐟', 'ｚ', 'a'].map((path) => ({
    path,
    mode: '100644',
    hash: sha256(path),
  }));
  const lines = ['a', 'ｚ', '🐟'].map((path) => line(path, '100644', sha256(path))).join('');
  expect(folderManifest(entries)).toBe(lines);
  expect(folderHash(entries)).toBe(sha256(lines));
});

it('reads back what it wrote, newlines in names included', () => {
  fc.assert(
    fc.property(anyFolder, (entries) => {
      const read = parseFolderManifest(folderManifest(entries));
      expect([...read].sort(byPath)).toEqual([...entries].sort(byPath));
    }),
  );
});

it.each([
  ['no newline at the end', line('a', '100644', sha256('')).trimEnd()],
  ['an unknown mode', line('a', '100600', sha256(''))],
  ['no path', line('', '100644', sha256(''))],
  ['a short hash', line('a', '100644', 'sha256:abc')],
  ['text behind the last line', `${line('a', '100644', sha256(''))}rest`],
  ['an empty line', '\n'],
])('refuses a manifest with %s', (_, text) => {
  expect(() => parseFolderManifest(text)).toThrow('folder manifest line is malformed');
});
