import { createHash } from 'node:crypto';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { GoldfishError } from '../core/errors.ts';

/** A poke is one line and is answered by nothing: it carries no order, only "look now". */
const POKE = 'wake\n';
const POKE_TIMEOUT_MS = 200;

/** A short path (a unix socket's is limited to 108 bytes) that is the same for everyone who knows the state folder. */
export function wakeSocketPath(runtimeDir: string, stateDir: string): string {
  const name = createHash('sha256').update(stateDir).digest('hex').slice(0, 16);
  return join(runtimeDir, `${name}.sock`);
}

/** Listens until closed. The folder must be this user's own, so that nobody else can be in our place. */
export async function listenForWakes(
  path: string,
  onWake: () => void,
): Promise<{ close: () => Promise<void> }> {
  await ownFolder(dirname(path));
  await rm(path, { force: true });
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(POKE_TIMEOUT_MS, () => socket.destroy());
    socket.on('data', () => {
      onWake();
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}

async function ownFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const stat = await lstat(folder);
  const uid = process.getuid?.();
  if (stat.isDirectory() && (uid === undefined || stat.uid === uid) && (stat.mode & 0o022) === 0) return;
  throw new GoldfishError('STORAGE_UNAVAILABLE', {
    message: 'The folder for wake-up sockets belongs to someone else, or others may write to it.',
    hint: 'Remove it, or set XDG_RUNTIME_DIR to a folder of your own.',
  });
}

/** Best effort: a supervisor that is not there is found out by the lease, not here. True when somebody listened. */
export function poke(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (heard: boolean) => (): void => {
      socket.destroy();
      resolve(heard);
    };
    socket.setTimeout(POKE_TIMEOUT_MS, done(false));
    socket.once('error', done(false));
    socket.once('connect', () => socket.end(POKE, done(true)));
  });
}
