import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, normalize } from 'node:path';
import { bootId, processStart } from '../os/process-identity.ts';
import type { WrapperFile } from './attempt-files.ts';
import type { RunHandle } from './port.ts';

const GROUPS_ROOT = '/sys/fs/cgroup/';

/** What lives in the sessions and control groups that a run wrapper recorded before it was killed. */
export async function recordedProcesses(
  handle: Pick<RunHandle, 'runId' | 'attempt'>,
  wrapper: WrapperFile,
): Promise<number[]> {
  if (wrapper.bootId !== bootId()) return [];
  const groups = wrapper.ranks.flatMap((rank) => rank.groups).filter((path) => isGroupOf(handle, path));
  const found = [...(await sessionMembers(wrapper)), ...(await groupMembers(groups))];
  return [...new Set(found)].filter((pid) => pid !== process.pid);
}

function isGroupOf({ runId, attempt }: Pick<RunHandle, 'runId' | 'attempt'>, path: string): boolean {
  const name = `goldfish-${runId}-${attempt}`;
  const own = basename(path) === name || basename(path).startsWith(`${name}-`);
  return own && normalize(path) === path && path.startsWith(GROUPS_ROOT);
}

async function groupMembers(groups: readonly string[]): Promise<number[]> {
  const found: number[] = [];
  for (const group of groups) {
    // The second generation ends all below at once, groups of the program's own too; elsewhere there is no such file.
    await writeFile(join(group, 'cgroup.kill'), '1', { flag: 'r+' }).catch(() => undefined);
    const procs = await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '');
    found.push(...procs.split('\n').filter(Boolean).map(Number));
  }
  return found.filter((pid) => processStart(pid) !== undefined);
}

/** The kernel gives the number of a session to nobody else while one of its members lives. */
async function sessionMembers(wrapper: WrapperFile): Promise<number[]> {
  const sessions = new Map<number, number>();
  for (const { process: leader } of wrapper.ranks) {
    if (!leader || leader.start === '') continue;
    const now = processStart(leader.pid);
    // Another process with that number: the session is another one, too.
    if (now !== undefined && now !== leader.start) continue;
    sessions.set(leader.pid, Number(leader.start));
  }
  if (sessions.size === 0) return [];
  const found: number[] = [];
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
    // The second field is the command in parentheses and may hold anything, so count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const since = sessions.get(Number(fields[3]));
    const dead = fields[0] === 'Z' || fields[0] === 'X';
    if (since !== undefined && !dead && Number(fields[19]) >= since) found.push(Number(name));
  }
  return found;
}
