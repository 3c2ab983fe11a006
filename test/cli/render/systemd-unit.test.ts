import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SupervisorUnit, supervisorUnit } from '../../../src/cli/render/systemd-unit.ts';

const PLAIN: SupervisorUnit = {
  project: { name: 'demo', root: '/home/me/demo' },
  node: '/usr/bin/node',
  launcher: '/opt/goldfish/bin/goldfish.js',
  searchPath: '/usr/local/bin:/usr/bin',
};
const lineOf = (text: string, key: string): string =>
  text.split('\n').find((line) => line.startsWith(`${key}=`)) ?? '';

/** As systemd reads a line of words: quotes, escapes, specifiers, and with `$$` a dollar. */
function wordsOf(line: string, { dollars }: { dollars: boolean }): string[] {
  const bytes = (text: string): string => Buffer.from(text).toString('latin1');
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|([^\s"]+)/g)].map(([, inQuotes = '', bare]) => {
    const read = bytes(bare ?? inQuotes)
      .replaceAll(/\\(?:x([0-9a-f]{2})|(.))/g, (_all, hex: string | undefined, char: string) =>
        hex === undefined ? char : String.fromCharCode(Number.parseInt(hex, 16)),
      )
      .replaceAll(/%(.)?/g, (_all, kind) => (kind === '%' ? '%' : '<a specifier>'))
      .replaceAll(/\$(.)?/g, (all, next) => (!dollars ? all : next === '$' ? '$' : '<a variable>'));
    return Buffer.from(read, 'latin1').toString('utf8');
  });
}

const path = fc
  .array(
    fc.oneof(
      fc.constantFrom(' ', '%', '$', '\\', '"', "'", ';', '\t', '\n', '{', 'é', '\u0085'),
      fc.string(),
    ),
  )
  .map((parts) => `/${parts.join('').replaceAll('\0', '')}`);

describe('a unit for systemd', () => {
  it('supervises the project, comes back after a failure, and ends nothing that it has started', () => {
    const { name, text } = supervisorUnit(PLAIN);
    expect(name).toMatch(/^goldfish-demo-[0-9a-f]{8}\.service$/);
    expect(
      text,
    ).toBe(`# Save this as ~/.config/systemd/user/${name}; then: systemctl --user enable --now ${name}
[Unit]
Description=Goldfish supervisor of demo

[Service]
ExecStart="/usr/bin/node" "/opt/goldfish/bin/goldfish.js" "supervisor" "--project" "/home/me/demo"
Environment="PATH=/usr/local/bin:/usr/bin"
Restart=on-failure
RestartSec=30
KillMode=process
OOMPolicy=continue

[Install]
WantedBy=default.target
`);
  });

  it('of another project of the same name has another name', () => {
    const other = { ...PLAIN, project: { name: 'demo', root: '/home/me/other' } };
    expect(supervisorUnit(other).name).not.toBe(supervisorUnit(PLAIN).name);
  });

  it('gives every word as it is, whatever is in a path', () => {
    fc.assert(
      fc.property(path, path, path, (root, launcher, node) => {
        const { text } = supervisorUnit({
          project: { name: 'demo', root },
          launcher,
          node,
          searchPath: root,
        });
        expect(text.split('\n')).toHaveLength(15);
        const [program, ...words] = wordsOf(lineOf(text, 'ExecStart').slice('ExecStart='.length), {
          dollars: true,
        });
        const command = program === '/usr/bin/env' ? words : [node, ...words];
        expect(command).toEqual([node, launcher, 'supervisor', '--project', root]);
        const [setting] = wordsOf(lineOf(text, 'Environment').slice('Environment='.length), {
          dollars: false,
        });
        expect(setting).toBe(`PATH=${root}`);
      }),
    );
  });
});

const hasSystemd = spawnSync('systemd-analyze', ['--version'], { stdio: 'ignore' }).status === 0;
const NEEDS = hasSystemd ? '' : ' (needs systemd-analyze: by hand, in the package systemd)';

describe.skipIf(!hasSystemd)(`what systemd says of a unit${NEEDS}`, () => {
  let home: string;
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'goldfish-unit-'));
  });
  afterAll(() => rmSync(home, { recursive: true }));

  it.each(['plain', 'with space', '50%h', '$HOME', 'a$$b', '"quoted"', "o'brien", 'back\\slash', 'ü;#'])(
    'is nothing, and it finds the program, in a folder called %s',
    (called) => {
      const folder = join(home, called);
      mkdirSync(folder);
      const node = join(folder, 'node');
      writeFileSync(node, '#!/bin/sh\n');
      chmodSync(node, 0o755);
      const project = { name: 'demo', root: folder };
      const { name, text } = supervisorUnit({ project, node, launcher: node, searchPath: folder });
      writeFileSync(join(home, name), text);
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--user', join(home, name)], {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: home },
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    },
  );
});
