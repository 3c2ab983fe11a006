import { readdirSync, readFileSync } from 'node:fs';
import Docker from 'dockerode';
import type { AttemptKey } from '../../../src/store/attempts.ts';
import { readTold } from '../kit/executions.ts';
import type { FaultProject } from '../kit/fault-project.ts';

const engine = new Docker({ socketPath: '/var/run/docker.sock' });

/** Attempts whose program has told that it began and not yet that it is done. */
export function attemptsAtWork(project: FaultProject): AttemptKey[] {
  const told = readTold(project);
  const done = new Set(told.filter(({ word }) => word === 'end').map(keyOf));
  return told
    .filter((line) => line.word === 'begin' && !done.has(keyOf(line)))
    .map(({ runId, attempt }) => ({ runId, attempt }));
}

export function keyOf({ runId, attempt }: AttemptKey): string {
  return `${runId}/${attempt}`;
}

/** Kills what executes an attempt. False where it was gone already. */
export async function killPart(
  project: FaultProject,
  key: AttemptKey,
  part: 'run wrapper' | 'stage' | 'container',
): Promise<boolean> {
  if (part === 'container') {
    const container = engine.getContainer(`goldfish-${key.runId}-${key.attempt}`);
    return container.kill().then(
      () => true,
      () => false,
    );
  }
  const pid = part === 'stage' ? programOf(key) : wrapperOf(project, key);
  if (pid === undefined) return false;
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

function wrapperOf(project: FaultProject, { runId, attempt }: AttemptKey): number | undefined {
  try {
    const about: { pid: number } = JSON.parse(
      readFileSync(project.layout.attempt(runId, attempt).wrapper, 'utf8'),
    );
    // The number may belong to somebody else by now.
    return readFileSync(`/proc/${about.pid}/cmdline`, 'utf8').includes(runId) ? about.pid : undefined;
  } catch {
    return undefined;
  }
}

/** By the mark in its environment; in a container its first process carries the mark as well. */
function programOf({ runId, attempt }: AttemptKey): number | undefined {
  const mark = [`GOLDFISH_RUN_ID=${runId}`, `GOLDFISH_ATTEMPT=${attempt}`];
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const entries = readFileSync(`/proc/${name}/environ`, 'latin1').split('\0');
      const words = readFileSync(`/proc/${name}/cmdline`, 'latin1');
      if (mark.every((entry) => entries.includes(entry)) && !words.includes('container_init'))
        return Number(name);
    } catch {
      // It has ended meanwhile, or is not ours to look at.
    }
  }
  return undefined;
}
