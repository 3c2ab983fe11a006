import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bootId, currentProcess, isProcessAlive, processStart } from '../../src/os/process-identity.ts';
import { until } from './until.ts';

describe('the identity of a process', () => {
  it('is that of this process, which lives', () => {
    const identity = currentProcess();
    expect(identity.pid).toBe(process.pid);
    expect(isProcessAlive(identity)).toBe(true);
    expect(identity).toEqual(currentProcess());
  });

  it.runIf(existsSync('/proc/self/stat'))(
    'differs from a later process with the same pid, and from another boot',
    () => {
      const identity = currentProcess();
      expect(identity.start).toMatch(/^\d+$/);
      expect(identity.bootId).toBe(bootId());
      expect(isProcessAlive({ ...identity, start: `${Number(identity.start) + 1}` })).toBe(false);
      expect(isProcessAlive({ ...identity, bootId: '00000000-0000-0000-0000-000000000000' })).toBe(false);
    },
  );

  it('dies with its process, also while nobody has reaped it', async () => {
    // The shell does not reap the child it was replaced after, so the child stays a zombie.
    const parent = spawn('sh', ['-c', 'sleep 100 & echo $!; exec sleep 100'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    const identity = { pid, start: processStart(pid) ?? '', bootId: bootId() };
    expect(isProcessAlive(identity)).toBe(true);
    process.kill(pid, 'SIGKILL');
    await until(() => !isProcessAlive(identity), 'the process to be seen dead');
    parent.kill('SIGKILL');
    await once(parent, 'close');
  });

  it('is read right when the name of the program is made to confuse', async () => {
    const name = ') Z 1 (';
    const child = spawn(
      process.execPath,
      ['-e', `process.title=${JSON.stringify(name)};console.log(1);setTimeout(()=>{},1e5)`],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    await once(child.stdout, 'data');
    const start = processStart(child.pid ?? 0);
    expect(start).toMatch(/^\d+$/);
    expect(Number(start)).toBeGreaterThanOrEqual(Number(processStart(process.pid)));
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(processStart(child.pid ?? 0)).toBeUndefined();
  });

  it('without a start time is asked of the kernel, and never of a whole group', () => {
    expect(isProcessAlive({ pid: process.pid, start: '', bootId: '' })).toBe(true);
    // Process 1 belongs to root: for others the answer is a refusal, and that is life too.
    expect(isProcessAlive({ pid: 1, start: '', bootId: '' })).toBe(true);
    for (const pid of [0, -1, 2 ** 22 + 1, Number.NaN, 1.5]) {
      expect(isProcessAlive({ pid, start: '', bootId: '' })).toBe(false);
    }
  });
});
