import { beforeEach, describe, expect, it } from 'vitest';
import { type PushDeps, pushedImage } from '../../../src/backends/gce/push-image.ts';
import type { ImageBuilder } from '../../../src/backends/image-builder.ts';
import type { ImageRegistry } from '../../../src/backends/image-registry.ts';
import { until } from '../../integration/until.ts';
import { createTestClock } from '../../support/test-clock.ts';

const HEX = '0123456789ab'.padEnd(64, 'c');
const ID = `sha256:${HEX}`;
const DIGEST = `sha256:${'d'.repeat(64)}`;
const REPOSITORY = 'europe-docker.pkg.dev/p/r';
const IMAGE = `${REPOSITORY}/goldfish`;
const LOGIN = { username: 'oauth2accesstoken', password: 'token' };

/** What the registry holds, by tag; and what was asked of registry and builder. */
let held: Map<string, string>;
let calls: string[];
let pushed: Parameters<ImageBuilder['push']>[0][];
/** Of the latest push: its signal, and what lets it go on. */
let signal: AbortSignal | undefined;
let begin: (work: () => void) => void;
let test: ReturnType<typeof createTestClock>;

function createDeps(): PushDeps {
  const registry: ImageRegistry = {
    digest: async ({ repository, tag }) => {
      calls.push(`digest ${repository}:${tag}`);
      return held.get(`${repository}:${tag}`);
    },
    exists: () => Promise.reject(new Error('not asked for here')),
    isImage: async (reference, id) => {
      calls.push(`is ${reference} ${id}`);
      return reference === `${IMAGE}@${DIGEST}` && id === ID;
    },
    login: async () => {
      calls.push('login');
      return LOGIN;
    },
  };
  const builder: PushDeps['builder'] = {
    push: (image, call) => {
      pushed.push(image);
      signal = call.signal;
      call.onLine('abc: Pushed');
      return new Promise((resolve, reject) => {
        call.signal?.addEventListener('abort', () => reject(call.signal?.reason));
        begin(() => {
          held.set(`${image.repository}:${image.tag}`, DIGEST);
          resolve({ digest: DIGEST });
        });
      });
    },
  };
  return { registry, builder, repository: REPOSITORY, clock: test.clock };
}

beforeEach(() => {
  held = new Map();
  calls = [];
  pushed = [];
  signal = undefined;
  begin = (work) => work();
  test = createTestClock();
});

function push(deps: PushDeps, other?: AbortSignal): { lines: string[]; end: Promise<string> } {
  const lines: string[] = [];
  const call = { id: ID, onLine: (line: string) => void lines.push(line) };
  const end = pushedImage(deps, { ...call, ...(other ? { signal: other } : {}) });
  end.catch(() => undefined);
  return { lines, end };
}

/** The next push waits for what is returned. */
function hold(): () => void {
  let go: (() => void) | undefined;
  begin = (work) => {
    go = work;
  };
  return () => go?.();
}

describe('an image for machines elsewhere', () => {
  it('is pushed where the registry lacks it, under a tag of its content, and named by digest', async () => {
    begin = (work) => {
      test.advance(3_200);
      work();
    };
    const { lines, end } = push(createDeps());
    expect(await end).toBe(`${IMAGE}@${DIGEST}`);
    expect(calls).toEqual([`digest ${IMAGE}:id-${HEX}`, 'login']);
    expect(pushed).toEqual([{ id: ID, repository: IMAGE, tag: `id-${HEX}`, login: LOGIN }]);
    expect(lines).toEqual([
      `The image 0123456789ab is not in ${IMAGE} yet; it is being pushed.`,
      'abc: Pushed',
      'The image 0123456789ab was pushed in 3 s.',
    ]);
  });

  it('is not pushed where it is, and nobody signs in for it', async () => {
    held.set(`${IMAGE}:id-${HEX}`, DIGEST);
    const { lines, end } = push(createDeps());
    expect(await end).toBe(`${IMAGE}@${DIGEST}`);
    expect(calls).toEqual([`digest ${IMAGE}:id-${HEX}`, `is ${IMAGE}@${DIGEST} ${ID}`]);
    expect(pushed).toEqual([]);
    expect(lines).toEqual([`The image 0123456789ab is in ${IMAGE} already.`]);
  });

  it('is pushed where its tag names another one, which is never handed to a machine', async () => {
    held.set(`${IMAGE}:id-${HEX}`, `sha256:${'e'.repeat(64)}`);
    const { lines, end } = push(createDeps());
    expect(await end).toBe(`${IMAGE}@${DIGEST}`);
    expect(pushed).toHaveLength(1);
    expect(lines[0]).toBe(
      `The image 0123456789ab is not surely what ${IMAGE} has under its tag; it is being pushed.`,
    );
  });

  it('is pushed again where the registry has lost it', async () => {
    const deps = createDeps();
    await push(deps).end;
    held.clear();
    await push(deps).end;
    expect(pushed).toHaveLength(2);
  });

  it('has an id', async () => {
    const call = { id: 'python:3.12-slim', onLine: () => undefined };
    await expect(pushedImage(createDeps(), call)).rejects.toThrow('python:3.12-slim is no id of an image');
    expect(calls).toEqual([]);
  });
});

describe('an image that several ask for at the same time', () => {
  it('is pushed once, and each of them is told', async () => {
    const go = hold();
    const deps = createDeps();
    const first = push(deps);
    await until(() => pushed.length === 1, 'the push');
    const others = [push(deps), push(deps)];
    go();
    expect(await Promise.all([first, ...others].map(({ end }) => end))).toEqual(
      Array.from({ length: 3 }, () => `${IMAGE}@${DIGEST}`),
    );
    expect(pushed).toHaveLength(1);
    expect(calls).toHaveLength(2);
    for (const { lines } of others) expect(lines).toEqual(['The image 0123456789ab was pushed in 0 s.']);
  });

  it('is pushed for the others when one of them gives up', async () => {
    const go = hold();
    const deps = createDeps();
    const gate = new AbortController();
    const first = push(deps, gate.signal);
    await until(() => pushed.length === 1, 'the push');
    const second = push(deps);
    gate.abort();
    await expect(first.end).rejects.toMatchObject({ name: 'AbortError' });
    expect(signal?.aborted).toBe(false);
    go();
    expect(await second.end).toBe(`${IMAGE}@${DIGEST}`);
    expect(first.lines).not.toContain('The image 0123456789ab was pushed in 0 s.');
    expect(pushed).toHaveLength(1);
  });

  it('is given up when all of them do, and whoever comes then begins anew', async () => {
    hold();
    const deps = createDeps();
    const gate = new AbortController();
    const waiting = [push(deps, gate.signal), push(deps, gate.signal)];
    await until(() => pushed.length === 1, 'the push');
    gate.abort();
    for (const { end } of waiting) await expect(end).rejects.toMatchObject({ name: 'AbortError' });
    begin = (work) => work();
    const late = push(deps);
    expect(await late.end).toBe(`${IMAGE}@${DIGEST}`);
    expect(pushed).toHaveLength(2);
  });

  it('fails for all of them, and only this time', async () => {
    const deps = createDeps();
    const { push: work } = deps.builder;
    deps.builder.push = () => Promise.reject(new Error('the disk is full'));
    const waiting = [push(deps), push(deps)];
    for (const { end } of waiting) await expect(end).rejects.toThrow('the disk is full');
    deps.builder.push = work;
    expect(await push(deps).end).toBe(`${IMAGE}@${DIGEST}`);
  });

  it('may be pushed by two processes', async () => {
    const both = [createDeps(), createDeps()].map((deps) => push(deps).end);
    expect(await Promise.all(both)).toEqual([`${IMAGE}@${DIGEST}`, `${IMAGE}@${DIGEST}`]);
    expect(pushed).toHaveLength(2);
  });
});

describe('an image that is not wanted any more', () => {
  it('is not asked for at all', async () => {
    const { end } = push(createDeps(), AbortSignal.abort());
    await expect(end).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls).toEqual([]);
  });

  it('is pushed no further', async () => {
    hold();
    const gate = new AbortController();
    const { end } = push(createDeps(), gate.signal);
    await until(() => pushed.length === 1, 'the push');
    gate.abort();
    await expect(end).rejects.toMatchObject({ name: 'AbortError' });
    expect(signal?.aborted).toBe(true);
  });
});
