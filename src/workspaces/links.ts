import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** What the kernel allows on one path. */
const MAX_HOPS = 40;

/**
 * Whether a path below `root` stays below it when links are followed, step by step as the kernel does. An absolute
 * target never does: in a run's read-only copy it would lead back to the live slot. Dangling and circular links stay.
 */
export async function staysInside(root: string, path: string): Promise<boolean> {
  const position: string[] = [];
  const pending = path.split('/');
  let hops = 0;
  for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (position.pop() === undefined) return false;
      continue;
    }
    const target = await linkTarget(join(root, ...position, part));
    if (target === undefined) {
      position.push(part);
      continue;
    }
    hops += 1;
    if (hops > MAX_HOPS) return true;
    if (target.startsWith('/')) return false;
    pending.unshift(...target.split('/'));
  }
  return true;
}

async function linkTarget(path: string): Promise<string | undefined> {
  const stat = await lstat(path).catch(() => undefined);
  return stat?.isSymbolicLink() ? readlink(path) : undefined;
}
