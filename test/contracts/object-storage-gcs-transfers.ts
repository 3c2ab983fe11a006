import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { createCrc32c } from '../../src/storage/gcs/crc32c.ts';
import { createGcsStorage } from '../../src/storage/gcs/gcs-storage.ts';
import { BUCKET, CHUNK, serviceOf } from './object-storage-gcs-kit.ts';
import { bytes, CONFLICT, keysOfAll, pattern, readBytes, readText } from './object-storage-kit.ts';

const DAMAGED = {
  code: 'STORAGE_UNAVAILABLE',
  message: 'What the object storage has is not what was sent: the checksums differ.',
  hint: 'Repeat the call.',
  retryable: true,
};

/** What is special about bytes that go over a network, and about answers that come in parts. */
export function transfersOf(): void {
  describe('bytes that change on the way', () => {
    const at = serviceOf();

    it('are found by a sum that others compute as well', () => {
      const sum = createCrc32c();
      sum.update(bytes('12345'));
      sum.update(bytes('6789'));
      expect(sum.value()).toBe('4waSgw==');
      expect(createCrc32c().value()).toBe('AAAAAA==');
    });

    it('are found when they are read', async () => {
      for (const size of [1_000, 3 * CHUNK]) {
        await at.storage.put('key', pattern(size));
        at.fail({ on: 'objects.read', do: { kind: 'corrupt-answer' } });
        await expect(readBytes(at.storage, 'key')).rejects.toMatchObject(DAMAGED);
        expect((await readBytes(at.storage, 'key')).equals(pattern(size))).toBe(true);
      }
    });

    it('are found when they are read in two parts', async () => {
      await at.storage.put('key', pattern(3 * CHUNK));
      at.fail({ on: 'objects.read', do: { kind: 'cut-answer', after: CHUNK } });
      at.fail({ on: 'objects.read', do: { kind: 'corrupt-answer' } });
      await expect(readBytes(at.storage, 'key')).rejects.toMatchObject(DAMAGED);
    });

    it('of a small body are refused by the service, and sent again', async () => {
      at.fail({ on: 'objects.insert', do: { kind: 'corrupt-request' }, times: 2 });
      await at.storage.put('key', pattern(50_000), { createOnly: true });
      expect((await readBytes(at.storage, 'key')).equals(pattern(50_000))).toBe(true);
    });

    it('of a small body are an error when they change every time', async () => {
      at.fail({ on: 'objects.insert', do: { kind: 'corrupt-request' }, times: 1_000 });
      await expect(at.storage.put('key', pattern(50_000))).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        details: { status: 400 },
      });
      expect(at.emulator.requests).toEqual(['objects.insert', 'objects.insert', 'objects.insert']);
    });

    it('of a large body are refused, and the object before stays', async () => {
      const before = await at.storage.put('key', bytes('before'));
      at.fail({ on: 'uploads.write', skip: 1, do: { kind: 'corrupt-request' } });
      await expect(at.storage.put('key', pattern(3 * CHUNK))).rejects.toMatchObject(DAMAGED);
      expect(await at.storage.stat('key')).toEqual(before);
      expect(at.emulator.uploads.open(BUCKET)).toEqual([]);
    });

    it('and were stored all the same are taken away again', async () => {
      at.emulator.limits.comparesSums = false;
      for (const size of [50_000, 3 * CHUNK]) {
        at.fail({ on: size > CHUNK ? 'uploads.write' : 'objects.insert', do: { kind: 'corrupt-request' } });
        await expect(at.storage.put('key', pattern(size))).rejects.toMatchObject(DAMAGED);
        expect(await keysOfAll(at.storage)).toEqual([]);
      }
    });

    it('and were stored all the same take nothing of somebody else with them', async () => {
      at.emulator.limits.comparesSums = false;
      at.fail({ on: 'objects.insert', do: { kind: 'corrupt-request' } });
      at.fail({ on: 'objects.delete', do: { kind: 'status', status: 503 } });
      at.meanwhile(() => at.client().put('key', bytes('theirs')));
      await expect(at.storage.put('key', pattern(50_000))).rejects.toMatchObject(DAMAGED);
      expect(await readText(at.storage, 'key')).toBe('theirs');
    });
  });

  describe('a body that is read', () => {
    const at = serviceOf();
    const data = pattern(1_000_000);

    it('goes on where it broke off, as often as it does', async () => {
      await at.storage.put('key', data);
      for (const after of [400_000, 1, 0, 300_000]) {
        at.fail({ on: 'objects.read', do: { kind: 'cut-answer', after } });
      }
      expect((await readBytes(at.storage, 'key')).equals(data)).toBe(true);
      expect(at.emulator.requests.filter((request) => request === 'objects.read')).toHaveLength(5);
    });

    it('may come slowly', async () => {
      await at.storage.put('key', data);
      // Longer than the budget, and nothing for a sixteenth of the time that is too long.
      at.fail({ on: 'objects.read', do: { kind: 'slow-answer', pieceBytes: 20_000, pauseMs: 125 } });
      expect((await readBytes(at.client({ budgetMs: 6_000 }), 'key')).equals(data)).toBe(true);
      expect(at.emulator.requests.filter((request) => request === 'objects.read')).toHaveLength(1);
    });

    it('is asked for again when nothing of it comes any more', async () => {
      await at.storage.put('key', data);
      at.fail({ on: 'objects.read', do: { kind: 'slow-answer', pieceBytes: 600_000, pauseMs: 3_000 } });
      expect((await readBytes(at.client({ budgetMs: 6_000 }), 'key')).equals(data)).toBe(true);
      expect(at.emulator.requests.filter((request) => request === 'objects.read').length).toBeGreaterThan(1);
    });

    it('may wait for its reader', async () => {
      await at.storage.put('key', data);
      const reader = await at.client({ budgetMs: 6_000 }).get('key');
      const first = await new Promise<Buffer>((resolve) => {
        reader.once('readable', () => resolve(reader.read(1_000) as Buffer));
      });
      // Longer than it would wait for the service: this is about real time.
      await systemClock.sleep(2_500);
      const rest = (await reader.toArray()) as Buffer[];
      expect(Buffer.concat([first, ...rest]).equals(data)).toBe(true);
      expect(at.emulator.requests.filter((request) => request === 'objects.read')).toHaveLength(1);
    });

    it('fails when it breaks off and the object is another one by then, and never mixes the two', async () => {
      await at.storage.put('key', data);
      at.fail({ on: 'objects.read', do: { kind: 'cut-answer', after: 400_000 } });
      at.fail({ on: 'objects.read', do: { kind: 'status', status: 503 } });
      at.meanwhile(() => at.client().put('key', pattern(1_000_000, 3)));
      await expect(readBytes(at.storage, 'key')).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        message: 'The object storage has lost what was begun.',
        retryable: true,
      });
    });

    it.each([
      ['fails', { kind: 'status', status: 503 }],
      ['gives nothing', { kind: 'cut-answer', after: 0 }],
    ] as const)(
      'fails within the budget when it breaks off and the service %s then',
      async (_how, trouble) => {
        await at.storage.put('key', data);
        at.fail({ on: 'objects.read', do: { kind: 'cut-answer', after: 400_000 } });
        at.fail({ on: 'objects.read', do: trouble, times: 1_000_000 });
        const started = at.clock.monotonic();
        await expect(readBytes(at.storage, 'key')).rejects.toMatchObject({
          message: expect.stringContaining('The object storage did not do its part within 60 s'),
        });
        expect(at.clock.monotonic() - started).toBeLessThanOrEqual(60_000);
      },
    );
  });

  describe('a list in parts', () => {
    const at = serviceOf();

    it('is whole though the service gives fewer rows than it is asked for', async () => {
      const keys = Array.from({ length: 20 }, (_, i) => `k${String(i).padStart(2, '0')}`);
      await Promise.all(keys.map((key) => at.storage.put(key, bytes(key))));
      for (const rowsPerPage of [1, 2, 3, 7]) {
        at.emulator.limits.rowsPerPage = rowsPerPage;
        for (const limit of [1, 2, 5, 1_000]) {
          const found: string[][] = [];
          for (let cursor: string | null = ''; cursor !== null; ) {
            const page = await at.storage.list('k', { cursor, limit });
            found.push(page.objects.map(({ key }) => key));
            cursor = page.nextCursor;
          }
          expect(found.flat(), `${limit} of ${rowsPerPage}`).toEqual(keys);
          expect(found.every((page) => page.length <= limit)).toBe(true);
        }
      }
    });

    it('shows nothing that no key can name', async () => {
      const content = { pieces: [], size: 0 };
      for (const name of ['art/', 'art/a', 'art/a/', 'art//b', 'art/../c', 'art/d']) {
        const query = new URLSearchParams();
        at.emulator.buckets.write({ bucket: BUCKET, name, content, wish: {}, query });
      }
      const storage = at.client({ prefix: 'art/' });
      expect(await keysOfAll(storage)).toEqual(['a', 'd']);
      const first = await storage.list('', { limit: 1 });
      expect((await storage.list('', { cursor: first.nextCursor ?? '' })).objects).toMatchObject([
        { key: 'd' },
      ]);
    });

    it('goes on after any key, be it there or not', async () => {
      for (const key of ['a', 'c', 'd']) await at.storage.put(key, bytes(key));
      for (const cursor of ['b', 'a/x', 'a0']) {
        expect((await at.storage.list('', { cursor })).objects.map(({ key }) => key)).toEqual(['c', 'd']);
      }
      expect(await at.storage.list('', { cursor: 'd' })).toEqual({ objects: [], nextCursor: null });
    });
  });

  describe('a copy in steps', () => {
    const at = serviceOf();

    it('goes on until all of it is done', async () => {
      await at.storage.put('from', pattern(1_000_000));
      at.emulator.limits.bytesPerRewrite = 300_000;
      const copy = await at.storage.copy('from', 'to');
      expect(copy.size).toBe(1_000_000);
      expect((await readBytes(at.storage, 'to')).equals(pattern(1_000_000))).toBe(true);
      expect(at.emulator.requests.filter((request) => request === 'objects.rewrite')).toHaveLength(4);
    });

    it('is done once though answers were lost', async () => {
      await at.storage.put('from', pattern(1_000_000));
      at.emulator.limits.bytesPerRewrite = 300_000;
      for (let step = 0; step < 4; step += 1) {
        at.fail({ on: 'objects.rewrite', do: { kind: 'lose-answer' } });
        at.fail({ on: 'objects.rewrite', do: { kind: 'pass' } });
      }
      const copy = await at.storage.copy('from', 'to', { createOnly: true });
      expect(await at.storage.stat('to')).toEqual(copy);
    });

    it('keeps its condition to the last step', async () => {
      await at.storage.put('from', pattern(1_000_000));
      at.emulator.limits.bytesPerRewrite = 300_000;
      at.fail({ on: 'objects.rewrite', skip: 2, do: { kind: 'status', status: 503 } });
      at.meanwhile(() => at.client().put('to', bytes('theirs')));
      await expect(at.storage.copy('from', 'to', { createOnly: true })).rejects.toMatchObject(CONFLICT);
      expect(await readText(at.storage, 'to')).toBe('theirs');
    });
  });

  describe('what is not there', () => {
    const at = serviceOf();

    it('is told apart: the bucket or the object', async () => {
      const nowhere = () => at.client({ bucket: 'nowhere' });
      const missing = {
        code: 'STORAGE_UNAVAILABLE',
        message: 'There is no bucket "nowhere".',
        hint: 'Make it, or name another one with storage.gcs.bucket.',
        retryable: false,
      };
      await expect(nowhere().stat('key')).rejects.toMatchObject(missing);
      await expect(nowhere().get('key')).rejects.toMatchObject(missing);
      await expect(nowhere().list('')).rejects.toMatchObject(missing);
      await expect(nowhere().delete('key')).rejects.toMatchObject(missing);
      await expect(nowhere().copy('a', 'b')).rejects.toMatchObject(missing);
      await expect(nowhere().put('key', bytes('x'))).rejects.toMatchObject(missing);
      await expect(nowhere().put('key', pattern(3 * CHUNK))).rejects.toMatchObject(missing);
      expect(await at.client().stat('key')).toBeUndefined();
    });

    it('is a generation that no bucket could have', async () => {
      await at.storage.put('key', bytes('x'));
      for (const ifGeneration of ['1700000000000000000-77', 'x', '-1', '']) {
        await expect(at.storage.put('key', bytes('y'), { ifGeneration })).rejects.toMatchObject(CONFLICT);
        await expect(at.storage.delete('key', { ifGeneration })).rejects.toMatchObject(CONFLICT);
      }
      expect(await readText(at.storage, 'key')).toBe('x');
    });

    it('is what could not be read of a source, and nothing is sent', async () => {
      const broken = Readable.from(
        (function* () {
          yield bytes('x');
          throw new Error('broken');
        })(),
      );
      await expect(at.storage.put('key', broken)).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        message: 'What was to be stored could not be read.',
      });
      await expect(at.storage.put('key', { file: '/nowhere/file' })).rejects.toMatchObject({
        message: 'What was to be stored could not be read (ENOENT).',
      });
      expect(at.emulator.requests).toEqual([]);
    });
  });

  describe('an endpoint', () => {
    it.each([
      'http://example.com',
      'http://10.0.0.1:8080',
      'http://127.0.0.1.example.com',
      'http://user:word@127.0.0.1',
      'http://127.0.0.1/path',
      'ftp://127.0.0.1',
      '127.0.0.1:8080',
    ])('is not %s', (apiEndpoint) => {
      expect(() => createGcsStorage({ bucket: BUCKET, apiEndpoint })).toThrow(
        expect.objectContaining({ code: 'INVALID_CONFIG' }),
      );
    });

    it.each([
      'https://storage.example.com',
      'http://localhost:1',
      'http://127.0.10.3:80/',
      'http://[::1]:8080',
    ])('may be %s', (apiEndpoint) => {
      expect(createGcsStorage({ bucket: BUCKET, apiEndpoint }).name).toBe('gcs');
    });

    it.each([{}, { apiEndpoint: 'https://storage-mine.p.googleapis.com' }])(
      'of Google needs credentials, and says so at once: %j',
      async (at) => {
        vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '/nowhere/key.json');
        const storage = createGcsStorage({ bucket: BUCKET, ...at });
        await expect(storage.stat('key')).rejects.toMatchObject({
          code: 'STORAGE_UNAVAILABLE',
          message: `Goldfish found no valid credentials for the bucket "${BUCKET}".`,
          hint: expect.stringContaining('gcloud auth application-default login'),
          retryable: false,
        });
        vi.unstubAllEnvs();
      },
    );

    it('of one’s own gets no credentials', async () => {
      const seen: (string | undefined)[] = [];
      const server = createServer((request, response) => {
        seen.push(request.headers.authorization);
        response.writeHead(404).end('{}');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const storage = createGcsStorage({ bucket: BUCKET, apiEndpoint: `http://127.0.0.1:${port}` });
      await expect(storage.put('key', bytes('x'))).rejects.toThrow();
      await expect(storage.get('key')).rejects.toThrow();
      expect(seen.length).toBeGreaterThan(1);
      expect(seen.every((header) => header === undefined)).toBe(true);
      server.closeAllConnections();
      server.close();
    });
  });
}
