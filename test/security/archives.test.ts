import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { extract, type Header } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeContext, packContext } from '../../src/backends/docker/build-context.ts';
import { assetPath } from '../../src/core/assets.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'goldfish-archive-'));
  mkdirSync(join(base, 'code', 'sub'), { recursive: true });
  writeFileSync(join(base, 'canary.txt'), 'the canary');
});
afterEach(() => rmSync(base, { recursive: true }));

async function packed(folder: string): Promise<{ header: Header; text: string }[]> {
  const found: { header: Header; text: string }[] = [];
  const reader = extract();
  packContext(await codeContext(folder)).pipe(reader);
  for await (const entry of reader)
    found.push({ header: entry.header, text: (await buffer(entry)).toString() });
  return found;
}

describe('the build context of an image', () => {
  it('holds links as links, and nothing by a name that leads out', async () => {
    const code = join(base, 'code');
    symlinkSync('../canary.txt', join(code, 'up'));
    symlinkSync(join(base, 'canary.txt'), join(code, 'absolute'));
    symlinkSync('..', join(code, 'folder'));
    symlinkSync('../up', join(code, 'sub', 'chain'));
    symlinkSync('missing', join(code, 'dangling'));
    const names = ['..\\x', '-rf', '--x', '...', '..x', 'x'.repeat(250), 'é', '．．', '%2e%2e', ' '];
    for (const name of names) writeFileSync(join(code, 'sub', name), name);
    const entries = await packed(code);
    const links = entries.filter(({ header }) => header.type === 'symlink').map(({ header }) => header.name);
    expect(links.sort()).toEqual(['absolute', 'dangling', 'folder', 'sub/chain', 'up']);
    const climbing = entries.filter(
      ({ header: { name } }) => name.startsWith('/') || name.split('/').includes('..'),
    );
    expect(climbing).toEqual([]);
    expect(entries.filter(({ text }) => text.includes('canary'))).toEqual([]);
    const files = entries.filter(({ header }) => header.type === 'file');
    expect(files.map(({ header, text }) => [header.name, text])).toEqual(
      [...names].sort().map((name) => [`sub/${name}`, name]),
    );
  });
});

describe('an archive', () => {
  /** On a rented machine; test/integration/worker/worker-bootstrap.test.ts tries what an archive may do there. */
  const UNPACKER = 'runtime/worker/bootstrap.py';
  /** What such a machine has packed; test/backends/gce/folders.test.ts tries that here. */
  const UNPACKER_HERE = 'src/backends/gce/unpack-folder.ts';
  /** It makes archives, and opens none. */
  const PACKER = 'runtime/worker/worker_outputs.py';

  it('is unpacked by nothing of ours but the two places that are tried for it', () => {
    const unpackers = /\b(extract|unpack|gunzip|createGunzip|createUnzip|inflate|unzip|tarfile|zipfile)\b/i;
    const sources = ['src', 'runtime', 'bin'].flatMap((folder) =>
      readdirSync(assetPath(folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && /\.(ts|js|py)$/.test(entry.name))
        .map((entry) => join(entry.parentPath, entry.name)),
    );
    expect(sources.length).toBeGreaterThan(100);
    const found = sources.flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => /\b(import|from|spawn|command)\b/.test(line) && unpackers.test(line))
        .map((line) => `${relative(assetPath('.'), file)}: ${line.trim()}`),
    );
    expect(found.sort()).toEqual([
      `${UNPACKER}: import tarfile`,
      `${PACKER}: import tarfile`,
      'runtime/worker/worker_prepare.py: from bootstrap import Unusable, inner, open_to_all, unpack',
      "src/backends/gce/pull-result.ts: import { BadArchive, unpackFolder } from './unpack-folder.ts';",
      `${UNPACKER_HERE}: import { extract } from 'tar-stream';`,
    ]);
    expect(readFileSync(assetPath(PACKER), 'utf8')).not.toMatch(/tarfile\.open\([^)]*"r|extract/);
  });
});
