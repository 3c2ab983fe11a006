/**
 * A container engine without systemd: found where one answers, else Debian's dockerd with data of its own. May be
 * repeated at any time, also after the engine was killed.
 */
import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import { withLock } from '../../src/store/lock.ts';

const ENGINE_SOCKET = '/var/run/docker.sock';
const HOME = '/var/lib/goldfish-engine';
const PING_MS = 3_000;
const START_MS = 30_000;

export function engineAnswers(): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath: ENGINE_SOCKET, path: '/_ping', timeout: PING_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.once('timeout', () => ping.destroy());
    ping.once('error', () => resolve(false));
    ping.end();
  });
}

/** Starts the engine where none answers; resolves when one does. Needs root and dockerd. */
export async function startEngine(): Promise<void> {
  if (await engineAnswers()) return;
  await mkdir(HOME, { recursive: true, mode: 0o700 });
  const turn = { clock: systemClock, what: 'the container engine', waitMs: 2 * START_MS };
  await withLock(join(HOME, 'start.lock'), turn, async () => {
    if (await engineAnswers()) return;
    await removeRemains();
    await spawnEngine();
    await untilItAnswers();
  });
}

/**
 * A killed dockerd leaves its containerd, or a zombie of it that nobody reaps; the next dockerd would take the pid
 * file's word and wait 15 s for it. A pid is killed only while it is still one of the two programs.
 */
async function removeRemains(): Promise<void> {
  for (const file of [join(HOME, 'pid'), join(HOME, 'exec', 'containerd', 'containerd.pid')]) {
    const pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10);
    const program = pid > 1 ? await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '') : '';
    if (['dockerd', 'containerd'].includes(program.trim())) kill(pid);
    await rm(file, { force: true });
  }
  await rm(ENGINE_SOCKET, { force: true });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}

async function spawnEngine(): Promise<void> {
  const log = await open(join(HOME, 'log'), 'w', 0o600);
  const folders = ['--data-root', join(HOME, 'data'), '--exec-root', join(HOME, 'exec')];
  const own = ['--pidfile', join(HOME, 'pid'), '--host', `unix://${ENGINE_SOCKET}`];
  const engine = spawn('dockerd', [...folders, ...own], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log.fd, log.fd],
  });
  await new Promise((resolve, reject) => engine.once('spawn', resolve).once('error', reject));
  engine.unref();
  await log.close();
}

async function untilItAnswers(): Promise<void> {
  const limit = systemClock.monotonic() + START_MS;
  while (!(await engineAnswers())) {
    if (systemClock.monotonic() > limit) {
      const log = await readFile(join(HOME, 'log'), 'utf8');
      throw new Error(`The container engine did not start:\n${log.slice(-2_000)}`);
    }
    await systemClock.sleep(50);
  }
}
