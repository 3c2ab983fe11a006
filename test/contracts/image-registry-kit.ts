import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import type { ImageBuilder } from '../../src/backends/image-builder.ts';
import type { RegistryLogin } from '../../src/backends/image-registry.ts';
import { systemClock } from '../../src/core/clock.ts';
import { projectLayout } from '../../src/core/layout.ts';
import { docker, dockerAdapter } from './docker-under-test.ts';

/** The engine's side of a push: images that tests make there, and those who push them. */
export type PushingEngine = {
  /** The builder of a project of that name. */
  builderOf(project: string): ImageBuilder;
  /** One file of random bytes: small, and unlike everything that a registry has. Answers its id. */
  makeImage(kind?: 'named' | 'nameless'): Promise<string>;
  /** Takes the image off the engine and fetches it by the reference; answers the id of what came. */
  fetchAnew(image: { id: string; reference: string; login: RegistryLogin | null }): Promise<string>;
  /** Removes all images that were made. */
  cleanUp(): Promise<void>;
};

export async function openPushingEngine(): Promise<PushingEngine> {
  const made = new Set<string>();
  const home = await mkdtemp(join(tmpdir(), 'goldfish-pushes-'));
  return {
    builderOf: (project) =>
      dockerAdapter({
        layout: projectLayout(join(home, project)),
        clock: systemClock,
        python: 'python3',
        sdkDir: home,
        hostEnvironment: {},
      }).builder,
    makeImage: async (kind = 'named') => {
      const archive = pack();
      archive.entry({ name: 'content' }, randomBytes(1_000));
      archive.finalize();
      const tag = randomBytes(6).toString('hex');
      const name = kind === 'named' ? { repo: 'goldfish-test-push', tag } : {};
      const answer = await docker.importImage(Readable.from(archive), name);
      let said = '';
      for await (const piece of answer) said += String(piece);
      const id = /"status":"(sha256:[0-9a-f]{64})"/.exec(said)?.[1];
      if (id === undefined) throw new Error(`no image was made: ${said}`);
      made.add(id);
      return id;
    },
    fetchAnew: async ({ id, reference, login }) => {
      await docker.getImage(id).remove({ force: true });
      const serveraddress = reference.split('/')[0];
      const signed = login === null ? {} : { authconfig: { ...login, serveraddress } };
      for await (const _ of await docker.pull(reference, signed));
      return (await docker.getImage(reference).inspect()).Id;
    },
    cleanUp: async () => {
      for (const id of made) {
        await docker
          .getImage(id)
          .remove({ force: true })
          .catch(() => undefined);
      }
      made.clear();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** What the engine calls an image: names and digests; undefined where it does not have it. */
export async function namesOf(id: string): Promise<string[] | undefined> {
  const image = await docker
    .getImage(id)
    .inspect()
    .catch(() => undefined);
  return image && [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])];
}
