import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Debian's registry of images. */
const PROGRAM = 'docker-registry';

/** Whether this machine has it; the title of what is skipped otherwise. */
export const hasRegistry = spawnSync(PROGRAM, ['--version'], { stdio: 'ignore' }).status === 0;
export const NEEDS_REGISTRY = hasRegistry ? '' : ' (needs docker-registry: GOLDFISH_SETUP=1 npm test)';

export type RegistryProcess = {
  /** `127.0.0.1:PORT`: plain http, which engines speak with this machine. */
  host: string;
  stop(): Promise<void>;
};

/** A registry of its own, empty, on a free port. `passwords`: lines of an htpasswd file; without, everybody is let in. */
export async function startRegistry(passwords?: string): Promise<RegistryProcess> {
  const home = await mkdtemp(join(tmpdir(), 'goldfish-registry-'));
  const [config, users] = [join(home, 'config.yml'), join(home, 'htpasswd')];
  const settings = {
    version: '0.1',
    log: { level: 'info', formatter: 'json', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(home, 'images') } },
    http: { addr: '127.0.0.1:0' },
    ...(passwords === undefined ? {} : { auth: { htpasswd: { realm: 'goldfish', path: users } } }),
  };
  await writeFile(users, passwords ?? '');
  // YAML reads JSON.
  await writeFile(config, JSON.stringify(settings));
  const child = spawn(PROGRAM, ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
    await rm(home, { recursive: true, force: true });
  };
  const said: string[] = [];
  const host = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line);
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once('error', reject);
    void ended.then(() => reject(new Error(`the registry ended:\n${said.join('\n')}`)));
  });
  return { host, stop };
}
