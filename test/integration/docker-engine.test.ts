import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import type { HostOptions } from '../../src/backends/host-options.ts';
import { systemClock } from '../../src/core/clock.ts';
import {
  type BackendHarness,
  killWrapper,
  openHarness,
  statusOf,
  until,
} from '../contracts/backend-harness.ts';
import {
  containersOf,
  docker,
  dockerAdapter,
  dockerUnderTest,
  hasEngine,
  NEEDS_ENGINE,
} from '../contracts/docker-under-test.ts';
import { GO_AND_WAIT, sh } from '../contracts/run-backend.ts';

/** Stands before the real engine, and can be taken away: for whoever asks there, the engine has died. */
async function openGate(): Promise<{ path: string; close(): Promise<void>; open(): Promise<void> }> {
  const path = join(await mkdtemp(join(tmpdir(), 'goldfish-gate-')), 'engine.sock');
  let sockets: Socket[] = [];
  let server: Server | undefined;
  const open = (): Promise<void> => {
    // One side may be done long before the other: a program's input ends at once, its output goes on.
    server = createServer({ allowHalfOpen: true }, (client) => {
      const engine = createConnection({ path: '/var/run/docker.sock', allowHalfOpen: true });
      sockets.push(client, engine);
      client.pipe(engine).pipe(client);
      for (const socket of [client, engine]) socket.on('error', () => socket.destroy());
    });
    return new Promise((resolve) => server?.listen(path, resolve));
  };
  await open();
  return {
    path,
    open,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      sockets = [];
      await new Promise((resolve) => server?.close(resolve));
    },
  };
}

describe.skipIf(!hasEngine)(`the docker backend and its engine${NEEDS_ENGINE}`, () => {
  let h: BackendHarness;
  let gate: Awaited<ReturnType<typeof openGate>>;
  let given: HostOptions;
  beforeAll(async () => {
    gate = await openGate();
    h = await openHarness({
      ...dockerUnderTest,
      make: (options) => {
        given = options;
        const { backend, environmentKey } = dockerAdapter(options, { host: `unix://${gate.path}` });
        return {
          backend,
          environmentKey: (files, codeHash) => environmentKey({ files, codeHash, image: null }),
        };
      },
    });
  });
  afterAll(async () => {
    await h.close();
    await gate.close();
    await rm(join(gate.path, '..'), { recursive: true, force: true });
  });

  it('says that no engine answers, within a moment, and what to do', async () => {
    const { options } = await probeOptions();
    const began = performance.now();
    const probe = await dockerAdapter(options, { host: 'unix:///no/such/engine.sock' }).backend.probe();
    expect(performance.now() - began).toBeLessThan(300);
    expect(probe).toMatchObject({
      available: false,
      ready: false,
      why: 'no container engine answers (ENOENT)',
      hint: 'Start the engine, or set docker.host to where it listens.',
    });
  });

  it('gives up on an engine that accepts and says nothing', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const { options } = await probeOptions();
    const probe = await dockerAdapter(options, { host: `tcp://127.0.0.1:${port}` }).backend.probe();
    silent.close();
    expect(probe).toMatchObject({ available: false, why: 'no container engine answers (ETIMEDOUT)' });
  });

  it('asks no engine whose address is missing or not supported', async () => {
    const { options } = await probeOptions();
    const problem = 'docker.host names ENGINE, which is not set';
    expect(await dockerAdapter(options, { hostProblem: problem }).backend.probe()).toMatchObject({
      available: false,
      why: problem,
    });
    expect(await dockerAdapter(options, { host: 'ssh://me@there' }).backend.probe()).toMatchObject({
      available: false,
      why: expect.stringContaining('docker.host must be'),
    });
  });

  it('is available, but not at once, where the base image must be fetched first', async () => {
    const { options } = await probeOptions();
    const { backend } = dockerAdapter(options, { baseImage: 'goldfish-test-absent:1' });
    expect(await backend.probe()).toMatchObject({
      available: true,
      ready: false,
      why: expect.stringContaining('the image goldfish-test-absent:1 is not here yet'),
    });
  });

  it('does not ask again within seconds', async () => {
    const { backend } = h;
    expect(await backend.probe()).toMatchObject({ available: true, ready: true });
    await gate.close();
    expect(await backend.probe()).toMatchObject({ available: true });
    expect(await h.another().probe()).toMatchObject({ available: false });
    await gate.open();
  });

  it('refuses to launch and build without an engine, and does so later', async () => {
    const spec = await h.spec({ command: sh('echo ran') });
    const request = await h.buildRequest();
    await gate.close();
    const gone = {
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/^The container engine does not answer/),
      retryable: true,
    };
    await expect(h.backend.launch(spec)).rejects.toMatchObject(gone);
    await expect(h.backend.build(request, { onLine: () => undefined })).rejects.toMatchObject(gone);
    await gate.open();
    const handle = await h.backend.launch(spec);
    expect((await h.ended(handle)).result).toMatchObject({ exitCode: 0 });
  });

  it('frees a run whose engine has died, and removes its container when there is one again', async () => {
    const { handle } = await h.start({ command: sh(`setsid sleep 300 & ${GO_AND_WAIT}`) });
    await h.ready(handle);
    await killWrapper(h, handle);
    await until(async () => (await statusOf(h.backend, handle)).phase === 'absent', 'absence');
    await gate.close();
    await h.backend.cleanup(handle);
    // Whatever ran is dead, though nobody could be asked to end it.
    expect((await h.remains(handle)).filter((left) => /^\d+$/.test(left))).toEqual([]);
    expect(await containersOf(handle)).toHaveLength(1);
    await gate.open();
    const later = await h.spec({ command: sh('true') });
    const next = await h.another().launch(later);
    expect(await containersOf(handle)).toEqual([]);
    await h.ended(next);
  });

  it('removes at a start what killed processes have left, and nothing that somebody looks after', async () => {
    const kept = await h.start({ command: sh(GO_AND_WAIT) });
    await h.ready(kept.handle);
    const prepared = await h.spec({ command: sh('true') });
    const lost = await h.start({ command: sh(GO_AND_WAIT) });
    await h.ready(lost.handle);
    await killWrapper(h, lost.handle);
    await until(async () => (await statusOf(h.backend, lost.handle)).phase === 'absent', 'absence');
    await h.ended(await h.another().launch(prepared));
    expect(await containersOf(lost.handle)).toEqual([]);
    expect(await containersOf(kept.handle)).toHaveLength(1);
    await h.backend.cleanup(kept.handle);
  });

  it('removes what a killed launch has left once it is old, and before that leaves it to be started', async () => {
    const kept = await h.start({ command: sh(GO_AND_WAIT) });
    await h.ready(kept.handle);
    const [theirs] = await containersOf(kept.handle);
    const never = await h.spec({ command: sh('true') });
    const labels = { ...theirs?.Labels, 'goldfish.run': never.runId };
    await docker.createContainer({ name: `goldfish-${never.runId}-1`, Image: TEST_IMAGE, Labels: labels });
    await h.ended(await h.another().launch(await h.spec({ command: sh('true') })));
    expect(await containersOf(never)).toHaveLength(1);
    const clock = { ...systemClock, now: () => systemClock.now() + 60 * 60_000 };
    const later = dockerAdapter({ ...given, clock }, { host: `unix://${gate.path}` }).backend;
    await h.ended(await later.launch(await h.spec({ command: sh('true') })));
    expect(await containersOf(never)).toEqual([]);
    expect(await containersOf(kept.handle)).toHaveLength(1);
    await h.backend.cleanup(kept.handle);
  });

  it('frees no run whose container is on another engine, for it would be forgotten there', async () => {
    const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
    await h.ready(handle);
    const { backend } = dockerAdapter(given, { host: null });
    await expect(backend.cleanup(handle)).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      retryable: true,
    });
    expect(await containersOf(handle)).toHaveLength(1);
    await h.backend.cleanup(handle);
    expect(await h.remains(handle)).toEqual([]);
  });

  it.each(['created', 'started'])('starts afresh over a container that somebody has %s', async (deed) => {
    const spec = await h.spec({ command: sh('echo ran >> "$GOLDFISH_CHECKPOINTS/count"; echo mine') });
    const other = await docker.createContainer({
      name: `goldfish-${spec.runId}-1`,
      Image: TEST_IMAGE,
      Cmd: ['sleep', '300'],
    });
    if (deed === 'started') await other.start();
    const handle = await h.backend.launch(spec);
    expect((await h.ended(handle)).result).toMatchObject({ exitCode: 0 });
    expect(await h.log(handle)).toEqual(['mine']);
  });

  it('says how a run ended whose container somebody removed', async () => {
    const { handle } = await h.start({ command: sh(GO_AND_WAIT) });
    await h.ready(handle);
    await docker.getContainer(handle.externalId).remove({ force: true });
    const { result } = await h.ended(handle);
    expect(result).toMatchObject({ started: true, lost: true, stoppedBy: null, oom: false });
    expect(result.error).not.toBeNull();
  });

  async function probeOptions() {
    let options: Parameters<typeof dockerAdapter>[0] | undefined;
    const opened = await openHarness({
      ...dockerUnderTest,
      make: (given) => {
        options = given;
        return dockerUnderTest.make(given);
      },
    });
    await opened.close();
    if (!options) throw new Error('no options');
    return { options };
  }
});
