import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { goldfishIn } from '../support/cli-in-process.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-cli-unit-'));
  await goldfish('init', 'fish');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const goldfish = (...argv: string[]) => goldfishIn(folder, argv);

describe('goldfish supervisor --install', () => {
  it('prints a unit that starts this program in this project, and writes nothing', async () => {
    const before = await readdir(folder, { recursive: true });
    const { code, out, err } = await goldfish('supervisor', '--install');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^# Save this as ~\/\.config\/systemd\/user\/(goldfish-fish-\w+\.service); then: /);
    expect(out).toMatch(/: systemctl --user enable --now goldfish-fish-\w+\.service\n\[Unit\]\n/);
    expect(out).toContain(
      `\nExecStart="${process.execPath}" "${assetPath('bin/goldfish.js')}" "supervisor" "--project" "${folder}"\n`,
    );
    expect(out).toContain(`\nEnvironment="PATH=${process.env['PATH']}"\n`);
    expect(await readdir(folder, { recursive: true })).toEqual(before);
  });

  it('gives a script the name and the text of it', async () => {
    const { out } = await goldfish('supervisor', '--install', '--json');
    const { name, unit } = JSON.parse(out) as { name: string; unit: string };
    expect(unit).toBe((await goldfish('supervisor', '--install')).out);
    expect(unit).toContain(`~/.config/systemd/user/${name};`);
  });

  it('is one thing, and --status another', async () => {
    const { code, out, err } = await goldfish('supervisor', '--install', '--status');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain("Option '--install' cannot be used with option '--status'.");
  });

  it('is refused where there is no project, with 3', async () => {
    await rm(join(folder, 'goldfish.yaml'));
    expect((await goldfish('supervisor', '--install')).code).toBe(3);
  });
});
