import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  BuiltImage,
  ContextEntry,
  ImageBuilder,
  ImageRecipe,
} from '../../src/backends/image-builder.ts';
import { until } from './backend-harness.ts';

/** What an adapter's test gives the contract to work on. */
export type BuilderHarness = {
  builder: ImageBuilder;
  /** Another one over the same project, as another process has. */
  another(): ImageBuilder;
  /** An image with a shell and python3 that is there. */
  base: string;
  /** A file of this machine, to be copied. */
  file: string;
  /** Runs a shell script in the image and answers what it prints. */
  run(image: string, script: string): Promise<string>;
  /** Containers that builds have left behind or are using. */
  containers(): Promise<string[]>;
  labelsOf(image: string): Promise<Record<string, string>>;
  /** Everything that is kept of how the image was made. */
  history(image: string): Promise<string>;
  remove(image: string): Promise<void>;
  close(): Promise<void>;
};

/** Every promise of src/backends/image-builder.ts, kept by a real adapter. */
export function describeImageBuilder(name: string, open: () => Promise<BuilderHarness>, needs = ''): void {
  describe.skipIf(needs !== '')(`${name} as an image builder${needs}`, () => {
    let h: BuilderHarness;
    const made: string[] = [];
    beforeAll(async () => {
      h = await open();
    });
    afterAll(async () => {
      for (const image of made) await h.remove(image);
      await h.close();
    });

    let count = 0;
    function recipe(lines: string[], change: Partial<ImageRecipe> = {}): ImageRecipe {
      count += 1;
      const name = change.name ?? `goldfish-contract-${process.pid}-${count}`;
      made.push(name);
      const file = change.file ?? 'Dockerfile';
      // What a failed build keeps to be faster the next time carries the label too, and is removed by it.
      const text = [`FROM ${h.base}`, 'LABEL goldfish.contract=true', ...lines, ''].join('\n');
      return {
        name,
        file,
        settings: {},
        labels: {},
        ...change,
        context: [{ path: file, kind: 'text', text }, ...(change.context ?? [])],
      };
    }
    async function build(asked: ImageRecipe, lines: string[] = []): Promise<BuiltImage> {
      return h.builder.build(asked, { onLine: (line) => void lines.push(line) });
    }
    const failure = (asked: ImageRecipe): Promise<unknown> =>
      build(asked).then(
        () => 'it was built',
        (error: unknown) => error,
      );

    it('makes an image that does what its recipe says', async () => {
      const image = await build(recipe(['RUN echo made > /made']));
      expect(image).toEqual({ id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/), found: false });
      expect(await h.run(image.id, 'cat /made')).toBe('made\n');
    });

    it('builds a name once, whoever asks later and with whatever recipe', async () => {
      const asked = recipe(['RUN echo first > /made']);
      const first = await build(asked);
      const lines: string[] = [];
      const again = { ...asked, context: recipe(['RUN echo second > /made']).context };
      expect(await h.another().build(again, { onLine: (line) => void lines.push(line) })).toEqual({
        id: first.id,
        found: true,
      });
      expect(lines).toEqual([]);
    });

    it('builds once for several that ask at the same time', async () => {
      const asked = recipe(['RUN sleep 0.5; date +%N > /made']);
      const others = [h.builder, h.another(), h.another()];
      const images = await Promise.all(others.map((one) => one.build(asked, { onLine: () => undefined })));
      expect(new Set(images.map(({ id }) => id)).size).toBe(1);
      expect(images.filter(({ found }) => !found)).toHaveLength(1);
    });

    it('tells what is printed line by line, both streams, without colours', async () => {
      const lines: string[] = [];
      await build(recipe(["RUN echo to stdout; echo to stderr >&2; printf 'no newline'"]), lines);
      expect(lines).toEqual(expect.arrayContaining(['to stdout', 'to stderr', 'no newline']));
      for (const line of lines) {
        expect(line.trim()).not.toBe('');
        for (const sign of ['\n', '\r', '\u001b']) expect(line).not.toContain(sign);
      }
    });

    it('tells lines while the build goes on', async () => {
      const lines: string[] = [];
      const gate = new AbortController();
      const asked = recipe(['RUN echo early; sleep 300']);
      const building = h.builder.build(asked, {
        onLine: (line) => void lines.push(line),
        signal: gate.signal,
      });
      building.catch(() => undefined);
      await until(async () => lines.includes('early'), 'the first line');
      gate.abort();
      await expect(building).rejects.toMatchObject({ name: 'AbortError' });
    });

    it('ends a build that is aborted, with its container, and leaves no image', async () => {
      const gate = new AbortController();
      const asked = recipe(['RUN echo begun; sleep 300']);
      let begun = false;
      const building = h.builder.build(asked, {
        onLine: (line) => {
          begun ||= line === 'begun';
        },
        signal: gate.signal,
      });
      building.catch(() => undefined);
      await until(async () => begun, 'it began');
      gate.abort();
      await expect(building).rejects.toMatchObject({ name: 'AbortError' });
      await until(async () => (await h.containers()).length === 0, 'its container is gone');
      // The name is free: the next one builds.
      expect(await build({ ...asked, context: recipe(['RUN true']).context })).toMatchObject({
        found: false,
      });
    });

    it('copies the context as it is: modes, links, folders, empty ones, unicode and spaces', async () => {
      const context: ContextEntry[] = [
        { path: 'plain file ü.txt', kind: 'text', text: 'grüße\n' },
        { path: 'tool', kind: 'file', source: h.file, executable: true },
        { path: 'data', kind: 'folder' },
        { path: 'data/empty', kind: 'folder' },
        { path: 'data/copy', kind: 'file', source: h.file, executable: false },
        { path: 'data/link', kind: 'link', target: 'copy' },
      ];
      const { id } = await build(recipe(['COPY . /context'], { context }));
      const script =
        'cd /context && cat "plain file ü.txt" && stat -c %a tool data/copy && readlink data/link && ls data/empty && od -An -tx1 tool data/link';
      expect(await h.run(id, script)).toBe('grüße\n755\n644\ncopy\n 00 01 02 ff fe 00 01 02 ff fe\n');
    });

    it('takes a recipe of any name, below a folder too', async () => {
      const { id } = await build(recipe(['RUN echo other > /made'], { file: 'docker/Recipe.txt' }));
      expect(await h.run(id, 'cat /made')).toBe('other\n');
    });

    it('labels the image', async () => {
      const { id } = await build(recipe(['RUN true'], { labels: { 'goldfish.key': 'sha256:abc' } }));
      expect(await h.labelsOf(id)).toMatchObject({ 'goldfish.key': 'sha256:abc' });
    });

    it('hands settings to the build and keeps none of them', async () => {
      const lines: string[] = [];
      const settings = { http_proxy: 'http://user:pass@proxy.invalid:1' };
      const asked = recipe(['RUN echo "proxy is $http_proxy"'], { settings });
      const { id } = await build(asked, lines);
      expect(lines).toContain(`proxy is ${settings.http_proxy}`);
      expect(await h.run(id, 'echo "[$http_proxy]"')).toBe('[]\n');
      expect(await h.history(id)).not.toContain('user:pass');
    });

    it('names file and line of a command that fails, and its exit code', async () => {
      const asked = recipe(['# a comment', 'ENV A=1 \\', '    B=2', '', 'RUN echo fine', 'RUN exit 3']);
      expect(await failure(asked)).toMatchObject({
        code: 'INVALID_CONFIG',
        message: 'Dockerfile:8:1: the command ended with exit code 3',
        details: { problems: [{ file: 'Dockerfile', line: 8, column: 1 }] },
      });
      expect(await h.containers()).toEqual([]);
    });

    it('names the line of an instruction that does not exist', async () => {
      expect(await failure(recipe(['RUN true', 'RUNN true']))).toMatchObject({
        code: 'INVALID_CONFIG',
        message: expect.stringMatching(/^Dockerfile:4:1: .*unknown instruction: RUNN/i),
      });
    });

    it('names the line of a file that is not there to copy', async () => {
      expect(await failure(recipe(['RUN true', 'COPY nothing.txt /x']))).toMatchObject({
        code: 'INVALID_CONFIG',
        message: expect.stringMatching(/^Dockerfile:4:1: .*nothing\.txt/),
      });
    });

    it('points at the recipe by its own name', async () => {
      expect(await failure(recipe(['RUN exit 1'], { file: 'docker/Recipe.txt' }))).toMatchObject({
        message: expect.stringMatching(/^docker\/Recipe\.txt:3:1: /),
      });
    });

    it('lets whoever wrote the recipe say what its failure means', async () => {
      const seen: { message: string; output: string }[] = [];
      const explain = (what: { message: string; output: string }): Error => {
        seen.push(what);
        return new Error('explained');
      };
      const asked = recipe(['RUN echo the reason; exit 5'], { explain });
      expect(await failure(asked)).toMatchObject({ message: 'explained' });
      expect(seen[0]?.output).toContain('the reason\n');
    });

    it('says that a base image is neither here nor to be had, as no fault of the file where the network is', async () => {
      const asked = recipe([]);
      const text = 'FROM goldfish.invalid/no-such-image:1\nRUN true\n';
      const error = await failure({ ...asked, context: [{ path: 'Dockerfile', kind: 'text', text }] });
      expect(error).toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
        message: expect.stringContaining('goldfish.invalid/no-such-image:1'),
        retryable: true,
      });
    });

    it('leaves nothing under the name of a build that failed', async () => {
      const asked = recipe(['RUN exit 1']);
      await failure(asked);
      const fixed = { ...asked, context: recipe(['RUN echo fixed > /made']).context };
      const { id, found } = await build(fixed);
      expect({ found, made: await h.run(id, 'cat /made') }).toEqual({ found: false, made: 'fixed\n' });
    });
  });
}
