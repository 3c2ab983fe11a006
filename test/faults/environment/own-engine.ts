import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { until } from '../../integration/until.ts';
import { isAliveNow, sendSignal } from './processes.ts';

export const canHaveEngine = process.getuid?.() === 0 && existsSync('/usr/sbin/dockerd');

/** A container engine of the suite's own, in a network namespace of its own: no other one sees it stop. */
export type OwnEngine = {
  socket: string;
  start(): Promise<void>;
  /** `SIGTERM` lets it end its containers in order; with `SIGKILL` they and its helpers are just left. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  dispose(): Promise<void>;
};

export async function createOwnEngine(): Promise<OwnEngine> {
  const home = mkdtempSync(join(tmpdir(), 'goldfish-engine-'));
  const socket = join(home, 'sock');
  let child: ChildProcess | undefined;
  const containerd = join(home, 'exec', 'containerd', 'containerd.pid');
  const engine: OwnEngine = {
    socket,
    start: async () => {
      // The next one would believe the pid files of one that was killed.
      for (const file of [containerd, join(home, 'pid')]) await endNamed(file);
      rmSync(socket, { force: true });
      child = spawnEngine(home, socket);
      await until(() => answers(socket), 'an engine of the suite', 60);
    },
    stop: async (signal) => {
      const pid = Number(readFileSync(join(home, 'pid'), 'utf8'));
      sendSignal(pid, signal);
      await until(() => !isAliveNow(pid), 'the end of the engine', 60);
      child = undefined;
    },
    dispose: async () => {
      if (child !== undefined) {
        await removeAll(socket);
        await engine.stop('SIGTERM').catch(() => child?.kill('SIGKILL'));
      }
      for (const file of [containerd, join(home, 'pid')]) await endNamed(file);
      endShims(home);
      unmountBelow(home);
      rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
  try {
    await engine.start();
    await copyImage(socket);
    return engine;
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

function spawnEngine(home: string, socket: string): ChildProcess {
  const log = openSync(join(home, 'log'), 'a', 0o600);
  const places = ['--data-root', join(home, 'data'), '--exec-root', join(home, 'exec')];
  const own = ['--pidfile', join(home, 'pid'), '--host', `unix://${socket}`];
  const apart = [
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    '--ip-masq=false',
  ];
  return spawn('unshare', ['--net', 'dockerd', ...places, ...own, ...apart], {
    cwd: '/',
    stdio: ['ignore', log, log],
  });
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: 3_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.once('timeout', () => ping.destroy());
    ping.once('error', () => resolve(false));
    ping.end();
  });
}

/** No registry is needed: the machine's engine has it. */
async function copyImage(socketPath: string): Promise<void> {
  const from = new Docker({ socketPath: '/var/run/docker.sock' });
  const stream = await from.getImage(TEST_IMAGE).get();
  const to = new Docker({ socketPath });
  const answer = await to.loadImage(stream);
  await new Promise((resolve, reject) => answer.resume().once('end', resolve).once('error', reject));
}

async function removeAll(socketPath: string): Promise<void> {
  const docker = new Docker({ socketPath });
  for (const { Id } of await docker.listContainers({ all: true }).catch(() => [])) {
    await docker
      .getContainer(Id)
      .remove({ force: true, v: true })
      .catch(() => undefined);
  }
}

/** What holds a container of a killed engine together: by the place of this engine, which stands among its words. */
function endShims(home: string): void {
  for (const file of globSync('/proc/[0-9]*/cmdline')) {
    const pid = Number(file.split('/')[2]);
    if (readIfThere(file).includes(`${home}/`)) sendSignal(pid, 'SIGKILL');
  }
}

/** A killed engine leaves what it mounted, the newest on top. */
function unmountBelow(home: string): void {
  const places = readIfThere('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${home}/`));
  for (const path of places.reverse()) spawnSync('umount', ['--lazy', path]);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Only while the pid is still that of one of the engine's programs. */
async function endNamed(file: string): Promise<void> {
  if (!existsSync(file)) return;
  const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
  const program =
    pid > 1 && existsSync(`/proc/${pid}/comm`) ? readFileSync(`/proc/${pid}/comm`, 'utf8').trim() : '';
  if (['dockerd', 'containerd'].includes(program)) {
    sendSignal(pid, 'SIGKILL');
    await until(() => !isAliveNow(pid), `the end of ${program}`, 30);
  }
  rmSync(file, { force: true });
}
