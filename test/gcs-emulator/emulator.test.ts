import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type Bucket, CRC32C, Storage } from '@google-cloud/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GcsEmulator } from './emulator.ts';

/** The vendor's own client, used as it is meant to be, is who says whether the emulator is one. */

let emulator: GcsEmulator;
let bucket: Bucket;
beforeEach(async () => {
  emulator = await GcsEmulator.start();
  const storage = new Storage({
    apiEndpoint: emulator.url,
    projectId: 'project',
    retryOptions: { autoRetry: false },
  });
  [bucket] = await storage.createBucket('bucket');
});
afterEach(() => emulator.stop());

const SIMPLE = { resumable: false } as const;
const save = (name: string, content: string | Buffer, conditions: Record<string, string | number> = {}) =>
  bucket.file(name).save(content, { ...SIMPLE, preconditionOpts: conditions });
const generationOf = async (name: string): Promise<string> =>
  String((await bucket.file(name).getMetadata())[0].generation);
const read = async (name: string): Promise<string> => (await bucket.file(name).download())[0].toString();
/** The client tells a status in several places. */
const status = (wanted: number) => (error: unknown) => {
  const { code, response } = error as { code?: number; response?: { status?: number } };
  expect(code ?? response?.status).toBe(wanted);
};
const refused = (wanted: number, call: Promise<unknown>) =>
  call.then(() => expect.fail('was done'), status(wanted));

describe('an object', () => {
  it('is what was sent, and has the sums that the client computes', async () => {
    const content = Buffer.from('a body\r\n--with lines\r\n\r\n');
    await save('folder/a b+c%.txt', content);
    const [meta] = await bucket.file('folder/a b+c%.txt').getMetadata();
    const sum = new CRC32C();
    sum.update(content);
    expect(meta).toMatchObject({ crc32c: sum.toString(), size: String(content.length), metageneration: '1' });
    expect(await read('folder/a b+c%.txt')).toBe(content.toString());
  });

  it('is refused where the sum that comes with it is another one', async () => {
    const metadata = { crc32c: 'AAAAAA==' };
    await refused(400, bucket.file('key').save('x', { ...SIMPLE, validation: false, metadata }));
    expect((await bucket.file('key').exists())[0]).toBe(false);
  });

  it('has a larger generation after each write, whatever the clock does', async () => {
    const seen: bigint[] = [];
    for (const skewMs of [0, -3_600_000, 3_600_000, -3_600_000]) {
      emulator.skewMs = skewMs;
      await save('key', 'x');
      seen.push(BigInt(await generationOf('key')));
    }
    expect([...seen].sort((a, b) => Number(a - b))).toEqual(seen);
    expect(new Set(seen).size).toBe(4);
  });

  it('is read in ranges, and beyond its end not at all', async () => {
    await save('key', '0123456789');
    const range = async (start: number, end?: number): Promise<string> => {
      const options = { validation: false, start, ...(end === undefined ? {} : { end }) };
      const pieces = (await bucket.file('key').createReadStream(options).toArray()) as Buffer[];
      return Buffer.concat(pieces).toString();
    };
    expect(await range(2, 4)).toBe('234');
    expect(await range(7)).toBe('789');
    expect(await range(8, 100)).toBe('89');
    await refused(416, range(10));
  });

  it('keeps what is said of it, and changes that without a new generation', async () => {
    await save('key', 'x');
    const before = await generationOf('key');
    await bucket.file('key').setMetadata({ metadata: { a: '1', b: '2' } });
    const [meta] = await bucket.file('key').setMetadata({ metadata: { a: null, c: '3' } });
    expect(meta).toMatchObject({ metadata: { b: '2', c: '3' }, metageneration: '3', generation: before });
    await refused(412, bucket.file('key').setMetadata({ metadata: {} }, { ifMetagenerationMatch: 2 }));
  });
});

describe('a precondition', () => {
  it.each([true, false])(
    'holds or is refused when an object is written (resumable: %s)',
    async (resumable) => {
      const write = (conditions: object) =>
        bucket.file('key').save('x', { resumable, preconditionOpts: conditions });
      await refused(412, write({ ifGenerationMatch: 7 }));
      await write({ ifGenerationMatch: 0 });
      await refused(412, write({ ifGenerationMatch: 0 }));
      const now = await generationOf('key');
      await refused(412, write({ ifGenerationNotMatch: now }));
      await write({ ifGenerationMatch: now, ifMetagenerationMatch: 1 });
      await refused(412, write({ ifGenerationMatch: now }));
    },
  );

  it('is looked at again when a resumable upload ends', async () => {
    const [uri] = await bucket
      .file('key')
      .createResumableUpload({ preconditionOpts: { ifGenerationMatch: 0 } });
    await save('key', 'faster');
    const answer = await fetch(uri, { method: 'PUT', body: 'slower' });
    expect(answer.status).toBe(412);
    expect(await read('key')).toBe('faster');
  });

  it('holds or is refused when an object is read, deleted, copied and composed', async () => {
    await save('key', 'x');
    const now = await generationOf('key');
    const file = bucket.file('key');
    await refused(412, file.getMetadata({ ifGenerationMatch: 7 }));
    const ask = (query: string) => fetch(`${emulator.url}/storage/v1/b/bucket/o/key?${query}`);
    expect((await ask(`ifGenerationNotMatch=${now}`)).status).toBe(304);
    await refused(412, file.copy('copy', { preconditionOpts: { ifGenerationMatch: 7 } }));
    await file.copy('copy', { preconditionOpts: { ifGenerationMatch: 0 } });
    await refused(412, bucket.combine(['key', 'copy'], 'both', { ifGenerationMatch: 7 }));
    await refused(412, file.delete({ ifGenerationMatch: 7 }));
    await file.delete({ ifGenerationMatch: now });
    expect((await file.exists())[0]).toBe(false);
  });

  it('lets one of many creators win', async () => {
    const tries = Array.from({ length: 10 }, (_, i) => save('key', `${i}`, { ifGenerationMatch: 0 }));
    const ends = await Promise.allSettled(tries);
    expect(ends.filter((end) => end.status === 'fulfilled')).toHaveLength(1);
  });
});

describe('a resumable upload', () => {
  it('takes pieces of the client, and shows nothing before its end', async () => {
    const content = Buffer.alloc(1_000_000, 'abc');
    const stream = bucket.file('key').createWriteStream({ resumable: true, chunkSize: 256 << 10 });
    await pipeline(Readable.from([content.subarray(0, 600_000), content.subarray(600_000)]), stream);
    expect((await bucket.file('key').download())[0].equals(content)).toBe(true);
    expect(emulator.requests.filter((request) => request === 'uploads.write')).toHaveLength(4);
  });

  it('says how far it is, keeps whole grains only, and can be cancelled', async () => {
    const [uri] = await bucket.file('key').createResumableUpload();
    const put = (range: string, body: Buffer) =>
      fetch(uri, { method: 'PUT', headers: { 'content-range': range }, body, redirect: 'manual' });
    const ask = () => put('bytes */*', Buffer.alloc(0));
    expect((await ask()).headers.get('range')).toBeNull();
    const first = await put('bytes 0-299999/*', Buffer.alloc(300_000));
    expect([first.status, first.headers.get('range')]).toEqual([308, 'bytes=0-262143']);
    expect((await ask()).headers.get('range')).toBe('bytes=0-262143');
    expect(emulator.uploads.open('bucket')).toEqual(['key']);
    const done = await put('bytes 262144-262145/262146', Buffer.alloc(2));
    expect([done.status, ((await done.json()) as { size: string }).size]).toEqual([200, '262146']);
    expect((await ask()).status).toBe(200);
    const [other] = await bucket.file('other').createResumableUpload();
    expect((await fetch(other, { method: 'DELETE' })).status).toBe(499);
    expect((await fetch(other, { method: 'PUT', body: 'x' })).status).toBe(404);
  });
});

const inBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

describe('a list', () => {
  it('comes in pages, in the order of bytes, with prefixes that count as rows', async () => {
    for (const name of ['b', 'a/1', 'a/2', 'a-', 'c/1/x', 'é', 'Z', '🐟', '\uffee']) await save(name, 'x');
    const all = (await bucket.getFiles())[0].map(({ name }) => name);
    expect(all).toEqual(['Z', 'a-', 'a/1', 'a/2', 'b', 'c/1/x', 'é', '\uffee', '🐟']);
    const rows: string[] = [];
    let query: object | null = { delimiter: '/', maxResults: 2, autoPaginate: false };
    while (query !== null) {
      const [files, next, answer] = (await bucket.getFiles(query)) as [
        { name: string }[],
        object | null,
        { prefixes?: string[] },
      ];
      rows.push(...[...files.map(({ name }) => name), ...(answer.prefixes ?? [])].sort(inBytes));
      query = next;
    }
    expect(rows).toEqual(['Z', 'a-', 'a/', 'b', 'c/', 'é', '\uffee', '🐟']);
    const inside = (await bucket.getFiles({ prefix: 'a/', startOffset: 'a/2' }))[0];
    expect(inside.map(({ name }) => name)).toEqual(['a/2']);
  });
});

describe('what is made from others', () => {
  it('is copied in steps, moved and composed', async () => {
    emulator.limits.bytesPerRewrite = 4;
    await save('one', '0123456789');
    await bucket.file('one').copy('two');
    expect(await read('two')).toBe('0123456789');
    expect(emulator.requests.filter((request) => request === 'objects.rewrite')).toHaveLength(3);
    await bucket.file('two').moveFileAtomic('three');
    await bucket.combine(['one', 'three'], 'both');
    expect(await read('both')).toBe('01234567890123456789');
    expect((await bucket.file('two').exists())[0]).toBe(false);
  });
});

describe('the script of faults', () => {
  it('hits what it is aimed at, as often as it says', async () => {
    await save('key', 'x');
    emulator.faults.add({
      on: 'objects.get',
      name: 'key',
      skip: 1,
      times: 2,
      do: { kind: 'status', status: 429 },
    });
    await save('other', 'x');
    await generationOf('key');
    await refused(429, generationOf('key'));
    await generationOf('other');
    await refused(429, generationOf('key'));
    await generationOf('key');
  });

  it('damages, cuts and loses', async () => {
    await save('key', 'content');
    emulator.faults.add({ on: 'objects.read', do: { kind: 'corrupt-answer' } });
    await expect(read('key')).rejects.toMatchObject({ code: 'CONTENT_DOWNLOAD_MISMATCH' });
    emulator.faults.add({ on: 'objects.read', do: { kind: 'cut-answer', after: 3 } });
    await expect(read('key')).rejects.toThrow();
    emulator.faults.add({ on: 'objects.insert', do: { kind: 'lose-answer' } });
    await expect(save('lost', 'x')).rejects.toThrow();
    expect(await read('lost')).toBe('x');
    emulator.faults.add({ on: 'objects.insert', do: { kind: 'cut-request', after: 5 } });
    await expect(save('cut', 'x')).rejects.toThrow();
    expect((await bucket.file('cut').exists())[0]).toBe(false);
  });
});

it('is a program too, which listens where it is told and is scripted over HTTP', async () => {
  const program = fileURLToPath(new URL('main.ts', import.meta.url));
  const child = spawn(process.execPath, [program, '--host', '127.0.0.3'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve) =>
    createInterface({ input: child.stdout }).once('line', resolve),
  );
  const { url } = JSON.parse(line) as { url: string };
  expect(url).toMatch(/^http:\/\/127\.0\.0\.3:\d+$/);
  const faults = JSON.stringify([{ do: { kind: 'status', status: 503 } }]);
  await fetch(`${url}/emulator/faults`, { method: 'POST', body: faults });
  expect((await fetch(`${url}/storage/v1/b`)).status).toBe(503);
  expect((await fetch(`${url}/storage/v1/b`)).status).toBe(200);
  child.stdin.end();
  expect(await ended).toBe(0);
});
