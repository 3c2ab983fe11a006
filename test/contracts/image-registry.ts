import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImageBuilder, ImagePush } from '../../src/backends/image-builder.ts';
import type { ImageRegistry } from '../../src/backends/image-registry.ts';

/** What an adapter's test gives the contract to work on: a registry that is empty at first, and an engine beside it. */
export type RegistryHarness = {
  registry: ImageRegistry;
  builder: ImageBuilder;
  /** As another process has them. */
  another(): { registry: ImageRegistry; builder: ImageBuilder };
  /** What images of the registry are called, without a tag. */
  repository: string;
  /** Makes a small image unlike all others on the engine, with a name or without; answers its id. */
  makeImage(kind: 'named' | 'nameless'): Promise<string>;
  /** What the engine calls it: names and digests; undefined where it does not have it. */
  namesOf(id: string): Promise<string[] | undefined>;
  /** Takes the image off the engine and fetches it by the reference; answers the id of what came. */
  fetchAnew(id: string, reference: string): Promise<string>;
  /** The registry where nobody listens any more. */
  away(): Promise<{ registry: ImageRegistry; repository: string }>;
  close(): Promise<void>;
};

const NO_DIGEST = `sha256:${'0'.repeat(64)}`;

/** Every promise of src/backends/image-registry.ts, and what an image builder promises of a push, kept by real ones. */
export function describeImageRegistry(name: string, open: () => Promise<RegistryHarness>, needs = ''): void {
  describe.skipIf(needs !== '')(`${name} as a registry of images${needs}`, () => {
    let h: RegistryHarness;
    let count = 0;
    beforeAll(async () => {
      h = await open();
    });
    afterAll(() => h.close());

    const freshTag = (): string => {
      count += 1;
      return `tag-${count}`;
    };
    async function push(
      id: string,
      tag: string,
      { builder = h.builder, lines = [] as string[], ...change }: PushChange = {},
    ): Promise<string> {
      const login = await h.registry.login();
      const image = { id, repository: h.repository, tag, login, ...change };
      return (await builder.push(image, { onLine: (line) => void lines.push(line) })).digest;
    }

    it('has no digest for a tag that nobody has pushed', async () => {
      expect(await h.registry.digest({ repository: h.repository, tag: freshTag() })).toBeUndefined();
      expect(await h.registry.exists(`${h.repository}@${NO_DIGEST}`)).toBe(false);
    });

    it('tells the digest of what was pushed, as the push did', async () => {
      const tag = freshTag();
      const digest = await push(await h.makeImage('named'), tag);
      expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(await h.registry.digest({ repository: h.repository, tag })).toBe(digest);
      expect(await h.another().registry.digest({ repository: h.repository, tag })).toBe(digest);
      expect(await h.registry.exists(`${h.repository}@${digest}`)).toBe(true);
    });

    it('still has no digest for another tag then', async () => {
      await push(await h.makeImage('named'), freshTag());
      expect(await h.registry.digest({ repository: h.repository, tag: freshTag() })).toBeUndefined();
    });

    it('gives by its digest the very image that was pushed', async () => {
      const id = await h.makeImage('named');
      const digest = await push(id, freshTag());
      expect(await h.fetchAnew(id, `${h.repository}@${digest}`)).toBe(id);
    });

    it('tells the image that was pushed from any other', async () => {
      const [id, other] = [await h.makeImage('named'), await h.makeImage('named')];
      const reference = `${h.repository}@${await push(id, freshTag())}`;
      expect(await h.registry.isImage(reference, id)).toBe(true);
      expect(await h.another().registry.isImage(reference, other)).toBe(false);
    });

    it('tells what a tag points to now, and keeps what it pointed to', async () => {
      const tag = freshTag();
      const first = await push(await h.makeImage('named'), tag);
      const second = await push(await h.makeImage('named'), tag);
      expect(second).not.toBe(first);
      expect(await h.registry.digest({ repository: h.repository, tag })).toBe(second);
      expect(await h.registry.exists(`${h.repository}@${first}`)).toBe(true);
    });

    it('has the same digest for an image however often and by whomever it is pushed', async () => {
      const [id, tag] = [await h.makeImage('named'), freshTag()];
      const { builder } = h.another();
      const digests = [await push(id, tag), await push(id, tag), await push(id, tag, { builder })];
      expect(new Set(digests).size).toBe(1);
    });

    it('is pushed to by several at the same time', async () => {
      const [id, tag] = [await h.makeImage('named'), freshTag()];
      const builders = [h.builder, h.another().builder, h.another().builder, h.another().builder];
      const digests = await Promise.all(builders.map((builder) => push(id, tag, { builder })));
      expect(new Set(digests).size).toBe(1);
      expect(await h.registry.digest({ repository: h.repository, tag })).toBe(digests[0]);
    });

    it('leaves nothing of a push in the names of the image', async () => {
      const id = await h.makeImage('named');
      const before = await h.namesOf(id);
      await push(id, freshTag());
      expect(before?.length).toBeGreaterThan(0);
      expect(await h.namesOf(id)).toEqual(before);
    });

    it('takes an image without a name, which the engine still has then', async () => {
      const id = await h.makeImage('nameless');
      expect(await h.namesOf(id)).toEqual([]);
      const tag = freshTag();
      await push(id, tag);
      // With its last name the engine would remove the image itself. What it calls it by digest is the engine's affair.
      expect(await h.namesOf(id)).toContain(`${h.repository}:${tag}`);
    });

    it('is told of line by line while a push goes on', async () => {
      const lines: string[] = [];
      await push(await h.makeImage('named'), freshTag(), { lines });
      expect(lines).toContainEqual(expect.stringMatching(/: Pushed$/));
      for (const line of lines) expect(line).toMatch(/^[^\r\n]*\S[^\r\n]*$/);
    });

    it('cannot be given what the engine does not have', async () => {
      await expect(push(NO_DIGEST, freshTag())).rejects.toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
        message: 'The image 000000000000 is not on this machine any more.',
      });
    });

    it('is away where nobody answers, which may pass', async () => {
      const { registry, repository } = await h.away();
      const passing = {
        code: 'BACKEND_UNAVAILABLE',
        message: expect.stringContaining(`The registry did not do its part for "`),
        hint: expect.stringContaining('look at the network'),
        retryable: true,
      };
      await expect(registry.digest({ repository, tag: 'any' })).rejects.toMatchObject(passing);
      await expect(registry.exists(`${repository}@${NO_DIGEST}`)).rejects.toMatchObject(passing);
      const pushed = push(await h.makeImage('named'), freshTag(), { repository });
      await expect(pushed).rejects.toMatchObject(passing);
    });

    it('is asked nothing by a call that was aborted before', async () => {
      const signal = AbortSignal.abort();
      const aborted = { name: 'AbortError' };
      const image = { repository: h.repository, tag: freshTag() };
      await expect(h.registry.digest(image, { signal })).rejects.toMatchObject(aborted);
      await expect(h.registry.exists(`${h.repository}@${NO_DIGEST}`, { signal })).rejects.toMatchObject(
        aborted,
      );
      const id = await h.makeImage('named');
      const pushing = h.builder.push({ id, ...image, login: null }, { signal, onLine: () => undefined });
      await expect(pushing).rejects.toMatchObject(aborted);
      expect(await h.registry.digest(image)).toBeUndefined();
    });
  });
}

type PushChange = Partial<ImagePush> & { builder?: ImageBuilder; lines?: string[] };
