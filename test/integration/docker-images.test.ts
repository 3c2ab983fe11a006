import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { codeFiles } from '../../src/backends/code-files.ts';
import type { DockerAdapter } from '../../src/backends/docker/docker-backend.ts';
import type { Runtime } from '../../src/backends/port.ts';
import { type BackendHarness, openHarness } from '../contracts/backend-harness.ts';
import {
  docker,
  dockerAdapter,
  dockerUnderTest,
  hasEngine,
  NEEDS_ENGINE,
} from '../contracts/docker-under-test.ts';
import { py, sh } from '../contracts/run-backend.ts';
import { writeWheel } from '../support/wheel.ts';

/** Names that these tests give to images, removed after each test together with what was built. */
const NAMED = [
  'goldfish-test-moving:1',
  'goldfish-test-no-python:1',
  'goldfish-test-no-pip:1',
  'goldfish-test-own:1',
];

async function makeImage(name: string, lines: string[]): Promise<void> {
  const dockerfile = [`FROM ${TEST_IMAGE}`, ...lines, ''].join('\n');
  const { pack } = await import('tar-stream');
  const archive = pack();
  archive.entry({ name: 'Dockerfile' }, dockerfile);
  archive.finalize();
  const { Readable } = await import('node:stream');
  const stream = await docker.buildImage(Readable.from(archive), { t: name });
  for await (const _ of stream);
}

describe.skipIf(!hasEngine)(`what a version runs in on docker${NEEDS_ENGINE}`, () => {
  let h: BackendHarness;
  let adapter: DockerAdapter;
  const keys = new Set<string>();

  const unnamed = async (): Promise<string[]> =>
    (await docker.listImages({ filters: { dangling: ['true'] } })).map(({ Id }) => Id);
  let before: string[];
  beforeAll(async () => {
    before = await unnamed();
  });
  afterAll(async () => {
    // Steps of builds that failed, which the engine keeps to be faster the next time.
    for (const id of await unnamed()) {
      if (!before.includes(id))
        await docker
          .getImage(id)
          .remove()
          .catch(() => undefined);
    }
  });

  beforeEach(async () => {
    h = await openHarness({
      ...dockerUnderTest,
      make: (options) => {
        adapter = dockerAdapter(options);
        return {
          backend: adapter.backend,
          environmentKey: (files, codeHash) => adapter.environmentKey({ files, codeHash, image: null }),
        };
      },
    });
  });
  afterEach(async () => {
    await h.close();
    const built = [...keys].map((key) => `goldfish-${key.replace('sha256:', '')}`);
    for (const name of [...built, ...NAMED]) {
      await docker
        .getImage(name)
        .remove({ force: true })
        .catch(() => undefined);
    }
    keys.clear();
  });

  async function key(image: string | null = null, codeHash = 'sha256:code'): Promise<string> {
    const made = await adapter.environmentKey({ files: codeFiles(h.codeDir), codeHash, image });
    keys.add(made);
    return made;
  }

  async function build(
    asked: {
      image?: string | null;
      codeHash?: string;
      key?: string;
      lines?: string[];
      by?: DockerAdapter;
    } = {},
  ): Promise<Runtime> {
    const { image = null, codeHash = 'sha256:code', lines = [], by = adapter } = asked;
    const planned = asked.key ?? (await key(image, codeHash));
    const request = { key: planned, codeDir: h.codeDir, codeHash, image };
    return by.backend.build(request, { onLine: (line) => void lines.push(line) });
  }

  it('is the base image as it is where the version asks for nothing', async () => {
    const runtime = await build();
    const { Id } = await docker.getImage(TEST_IMAGE).inspect();
    expect(runtime.data).toMatchObject({ image: Id, python: true });
    expect(runtime.description).toBe(`image ${TEST_IMAGE} (${Id.slice(7, 19)})`);
    await h.write('requirements.txt', '# nothing yet\n\n');
    expect((await build()).data['image']).toBe(Id);
  });

  it('has what requirements.txt asks for, built once for all projects', async () => {
    const wheel = await writeWheel(h.codeDir, 'tinypkg', '1.2.3');
    await h.write('requirements.txt', '--no-index\n-r more.txt\n');
    await h.write('more.txt', `./${wheel}  # here\n`);
    const lines: string[] = [];
    const runtime = await build({ lines });
    expect(lines.join('\n')).toContain('Successfully installed tinypkg-1.2.3');
    expect(runtime.description).toMatch(/with requirements\.txt/);
    const { handle, result } = await h.run({
      runtime,
      command: py('import tinypkg; print(tinypkg.VERSION)'),
    });
    expect(result.exitCode).toBe(0);
    expect(await h.log(handle)).toEqual(['1.2.3']);
    const again: string[] = [];
    expect(await build({ lines: again })).toEqual(runtime);
    expect(again).toEqual([]);
  });

  it('takes into its key what decides it, and nothing else', async () => {
    const plain = await key();
    await h.write('modules/a.py', 'print(1)');
    expect(await key()).toBe(plain);
    expect(await key(null, 'sha256:other')).toBe(plain);
    await h.write('requirements.txt', 'x==1\n');
    const one = await key();
    expect(one).not.toBe(plain);
    await h.write('requirements.txt', 'x==2\n');
    expect(await key()).not.toBe(one);
    await h.write('Dockerfile', `FROM ${TEST_IMAGE}\n`);
    const file = await key();
    expect(await key(null, 'sha256:other')).not.toBe(file);
    // A name says nothing, what it points to does.
    const { Id } = await docker.getImage(TEST_IMAGE).inspect();
    await rm(join(h.codeDir, 'Dockerfile'));
    await rm(join(h.codeDir, 'requirements.txt'));
    expect(await key(Id)).toBe(plain);
  });

  it('is made from the version’s Dockerfile, which may copy all but configs and pipelines', async () => {
    await h.write('pipeline.yaml', 'name: x');
    await h.write('configs/train.yaml', 'a: 1');
    await h.write('tools/hello', '#!/bin/sh\necho hello from the tool\n');
    await chmod(join(h.codeDir, 'tools/hello'), 0o755);
    await h.write('Dockerfile', `FROM ${TEST_IMAGE}\nCOPY . /opt/version\nENV PYTHONPATH=/opt/libraries\n`);
    const lines: string[] = [];
    const runtime = await build({ lines });
    expect(lines.some((line) => /^Step 2\/\d : COPY/.test(line))).toBe(true);
    const { handle } = await h.run({
      runtime,
      command: sh('/opt/version/tools/hello; ls /opt/version; echo $PYTHONPATH'),
    });
    expect(await h.log(handle)).toEqual([
      'hello from the tool',
      'Dockerfile',
      'tools',
      '/app:/opt/goldfish/python:/opt/libraries',
    ]);
  });

  it('is what the stage names, before a Dockerfile, and with requirements.txt in it', async () => {
    await makeImage('goldfish-test-own:1', ['RUN echo own > /made', 'USER root', 'ENTRYPOINT ["false"]']);
    await h.write('Dockerfile', 'FROM nothing-of-that-name\n');
    const runtime = await build({ image: 'goldfish-test-own:1' });
    const { handle, result } = await h.run({ runtime, command: sh('cat /made; id -u') });
    expect(result.exitCode).toBe(0);
    expect(await h.log(handle)).toEqual(['own', '1000']);
    const wheel = await writeWheel(h.codeDir, 'tinypkg', '2.0');
    await h.write('requirements.txt', `--no-index\n./${wheel}\n`);
    const more = await build({ image: 'goldfish-test-own:1' });
    const both = await h.run({
      runtime: more,
      command: py('import tinypkg; print(open("/made").read(), tinypkg.VERSION)'),
    });
    expect((await h.log(both.handle)).join(' ')).toBe('own  2.0');
  });

  it('names file and line of what cannot be installed', async () => {
    await h.write('requirements.txt', '--no-index\n# two\nno-such-package-anywhere==1.0\n');
    await expect(build()).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/^requirements\.txt:3:1: .*no-such-package-anywhere==1\.0/),
    });
    await h.write('requirements.txt', '--no-index\nthis is ! no requirement\n');
    await expect(build()).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/^requirements\.txt:2:1: /),
    });
  });

  it('names file and line of a Dockerfile’s command that fails', async () => {
    await h.write('Dockerfile', `# of ours\nFROM ${TEST_IMAGE}\nRUN exit 4\n`);
    await expect(build()).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: 'Dockerfile:3:1: the command ended with exit code 4',
    });
  });

  it('says that packages need an image with pip', async () => {
    await makeImage('goldfish-test-no-pip:1', ['RUN rm -rf /usr/lib/python3/dist-packages/pip']);
    await h.write('requirements.txt', 'anything\n');
    await expect(build({ image: 'goldfish-test-no-pip:1' })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message:
        'requirements.txt:1:1: the image goldfish-test-no-pip:1 has no python3 with pip to install this with',
    });
  });

  it('is refused when a name points elsewhere than when the run was planned', async () => {
    await makeImage('goldfish-test-moving:1', ['RUN echo 1 > /made']);
    const planned = await key('goldfish-test-moving:1');
    await makeImage('goldfish-test-moving:1', ['RUN echo 2 > /made']);
    await expect(build({ image: 'goldfish-test-moving:1', key: planned })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'An image is not the one the run was planned with: goldfish-test-moving:1.',
    });
  });

  it('is planned by its name while the image is not here, and fetched by the build', async () => {
    const planned = await key('goldfish-test-moving:1');
    const lines: string[] = [];
    await expect(build({ image: 'goldfish-test-moving:1', key: planned, lines })).rejects.toMatchObject({
      code: expect.stringMatching(/^(BACKEND_UNAVAILABLE|INVALID_CONFIG)$/),
      message: expect.stringContaining('goldfish-test-moving:1'),
    });
    expect(lines[0]).toBe('The image goldfish-test-moving:1 is not here; it is being fetched.');
    // It comes by another way: what was planned by name holds.
    await makeImage('goldfish-test-moving:1', ['RUN true']);
    expect(await build({ image: 'goldfish-test-moving:1', key: planned })).toMatchObject({ key: planned });
  });

  it('may have no python3: programs run and end as they do, secrets and ranks are refused', async () => {
    await makeImage('goldfish-test-no-python:1', ['RUN rm /usr/bin/python3 /usr/bin/python3.11']);
    const runtime = await build({ image: 'goldfish-test-no-python:1' });
    expect(runtime.data).toMatchObject({ python: false });
    const { handle, result } = await h.run({
      runtime,
      environment: { A: 'b c' },
      command: sh('echo "$A" $GOLDFISH_STAGE; (sleep 300 &); exit 7'),
    });
    expect(result).toMatchObject({ started: true, exitCode: 7, signal: null });
    expect(await h.log(handle)).toEqual(['b c train']);
    const killed = await h.run({ runtime, command: sh('kill -SEGV $$') });
    expect(killed.result).toMatchObject({ exitCode: null, signal: 'SIGSEGV' });
    const missing = await h.run({ runtime, command: ['python', '-c', '1'] });
    // The engine's own init is started, and says what is missing.
    expect(missing.result).toMatchObject({ started: true, exitCode: 127 });
    expect((await h.log(missing.handle)).join()).toContain('No such file or directory');
    const stopped = await h.start({ runtime, command: sh('echo > "$GOLDFISH_CONTROL/go"; sleep 300') });
    await h.ready(stopped.handle);
    await h.backend.terminate(stopped.handle, { graceSeconds: 5, reason: 'cancel' });
    expect((await h.ended(stopped.handle)).result).toMatchObject({ stoppedBy: 'cancel', signal: 'SIGTERM' });
    const spec = await h.spec({ runtime });
    await expect(h.backend.launch({ ...spec, secrets: { TOKEN: 'x' } })).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringMatching(
        /has no python3, without which a stage cannot be handed secrets \(TOKEN\)\.$/,
      ),
    });
    await expect(
      h.backend.launch({ ...spec, resources: { ...spec.resources, nodes: 2 } }),
    ).rejects.toMatchObject({ code: 'NOT_SUPPORTED', hint: expect.stringContaining('compute.nodes') });
  });
});
