import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { docker } from '../../contracts/docker-under-test.ts';

/** Debian's docker-registry on a port of loopback, with its storage in a folder that goes with it. */
export type RegistryProcess = {
  /** `127.0.0.1:40123`. */
  host: string;
  /** Ends it, and removes the names that images got from it on this machine's engine. */
  stop(): Promise<void>;
};

export async function startRegistry(): Promise<RegistryProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'goldfish-registry-'));
  const config = join(folder, 'config.yml');
  const settings = {
    version: 0.1,
    log: { level: 'info', formatter: 'json', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'storage') } },
    http: { addr: '127.0.0.1:0', secret: 'of a test' },
  };
  // JSON is YAML too.
  await writeFile(config, JSON.stringify(settings));
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit').catch(() => undefined);
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  const said: string[] = [];
  const host = await new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`docker-registry ended:\n${said.join('\n')}`)));
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line);
      const found = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
  }).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    host,
    stop: async () => {
      await stop();
      await forgetImages(host);
    },
  };
}

/** What was pushed or pulled is known to the engine by a name with the registry's in it. */
async function forgetImages(host: string): Promise<void> {
  for (const { RepoTags, RepoDigests } of await docker.listImages()) {
    for (const name of [...(RepoTags ?? []), ...(RepoDigests ?? [])]) {
      if (!name.startsWith(`${host}/`)) continue;
      // The last tag takes the digest with it.
      await docker
        .getImage(name)
        .remove()
        .catch((error: { statusCode?: number }) => {
          if (error.statusCode !== 404) throw error;
        });
    }
  }
}
