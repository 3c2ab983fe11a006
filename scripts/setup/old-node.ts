import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A Node of this machine that is too old for Goldfish: the launcher's refusal is tested with a real one. */
export function findOldNode(): { path: string; version: string } | undefined {
  const folders = ['/usr/bin', '/usr/local/bin', ...(process.env['PATH'] ?? '').split(delimiter)];
  for (const path of new Set(folders.map((folder) => join(folder, 'node')))) {
    if (!existsSync(path)) continue;
    const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout?.trim().slice(1) ?? '';
    const [major = 99, minor = 0] = version.split('.').map(Number);
    if (major < 22 || (major === 22 && minor < 18)) return { path: realpathSync(path), version };
  }
  return undefined;
}
