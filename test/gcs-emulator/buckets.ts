import { ApiError } from '../support/google-api-error.ts';
import { badRequest, noBucket, noObject } from './api-error.ts';
import { type Content, hashesOf } from './content.ts';
import { checkPreconditions } from './preconditions.ts';

/** What a writer may say of an object; the rest is the service's to say. */
export type Wish = {
  name?: string;
  contentType?: string;
  contentEncoding?: string;
  cacheControl?: string;
  metadata?: Record<string, string | null>;
  crc32c?: string;
  md5Hash?: string;
};

export type ObjectMeta = Record<string, unknown> & {
  name: string;
  generation: string;
  metageneration: string;
  size: string;
  crc32c: string;
  md5Hash?: string;
  contentType: string;
  metadata?: Record<string, string>;
};

export type StoredObject = { meta: ObjectMeta; content: Content };

type Bucket = { meta: Record<string, unknown>; objects: Map<string, StoredObject> };

export type Write = { bucket: string; name: string; content: Content; wish: Wish; query: URLSearchParams };

/** Every bucket and object. Nothing here waits, so what is checked still holds when it is written. */
export class Buckets {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;
  readonly #limits: { comparesSums: boolean };
  #lastGeneration = 0;

  constructor(now: () => number, limits: { comparesSums: boolean }) {
    this.#now = now;
    this.#limits = limits;
  }

  create(meta: Record<string, unknown>): object {
    const name = String(meta['name'] ?? '');
    if (name === '') throw badRequest('A bucket needs a name.');
    if (this.#buckets.has(name)) throw new ApiError(409, 'conflict', 'You already own this bucket.');
    const timeCreated = new Date(this.#now()).toISOString();
    const fixed = { kind: 'storage#bucket', id: name, metageneration: '1', location: 'US', etag: 'CAE=' };
    const whole = { ...fixed, storageClass: 'STANDARD', timeCreated, updated: timeCreated, ...meta };
    this.#buckets.set(name, { meta: whole, objects: new Map() });
    return whole;
  }

  all(): object[] {
    return [...this.#buckets.values()].map((bucket) => bucket.meta);
  }

  bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw noBucket();
    return bucket;
  }

  remove(name: string): void {
    if (this.bucket(name).objects.size > 0) {
      throw new ApiError(409, 'conflict', 'The bucket you tried to delete is not empty.');
    }
    this.#buckets.delete(name);
  }

  find(bucket: string, name: string): StoredObject | undefined {
    return this.bucket(bucket).objects.get(name);
  }

  /** The object, of the generation that the query names, if it names one. */
  require(bucket: string, name: string, query: URLSearchParams, generation = query.get('generation')) {
    const object = this.find(bucket, name);
    if (!object || (generation !== null && generation !== object.meta.generation)) {
      throw noObject(bucket, name);
    }
    return object;
  }

  /** Stores an object whole, if the query's conditions hold and the writer's checksums fit. */
  write({ bucket, name, content, wish, query }: Write): StoredObject {
    const { objects } = this.bucket(bucket);
    if (name === '' || Buffer.byteLength(name) > 1024) throw badRequest('An object needs a name.');
    checkPreconditions(query, objects.get(name));
    const hashes = hashesOf(content);
    if (this.#limits.comparesSums) requireSums(wish, hashes);
    const object = { meta: this.#describe({ bucket, name, content, wish, query }, hashes), content };
    objects.set(name, object);
    return object;
  }

  #describe({ bucket, name, content, wish }: Write, hashes: { crc32c: string; md5Hash: string }): ObjectMeta {
    const now = this.#now();
    // Microseconds, and never one twice, whatever the clock does.
    this.#lastGeneration = Math.max(this.#lastGeneration + 1, now * 1000);
    const generation = String(this.#lastGeneration);
    const time = new Date(now).toISOString();
    const { contentType = 'application/octet-stream', contentEncoding, cacheControl, metadata } = wish;
    const own = Object.entries(metadata ?? {}).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    );
    return {
      kind: 'storage#object',
      id: `${bucket}/${name}/${generation}`,
      name,
      bucket,
      generation,
      metageneration: '1',
      contentType,
      storageClass: 'STANDARD',
      size: String(content.size),
      ...hashes,
      etag: Buffer.from(generation).toString('base64'),
      timeCreated: time,
      updated: time,
      timeStorageClassUpdated: time,
      ...(contentEncoding === undefined ? {} : { contentEncoding }),
      ...(cacheControl === undefined ? {} : { cacheControl }),
      ...(own.length === 0 ? {} : { metadata: Object.fromEntries(own) }),
    };
  }

  /** Changes what is said of an object, not its content: the generation stays, the metageneration grows. */
  patch(object: StoredObject, { metadata, ...rest }: Wish): ObjectMeta {
    const { meta } = object;
    if (metadata !== undefined) {
      const merged = Object.entries({ ...meta.metadata, ...metadata });
      meta.metadata = Object.fromEntries(
        merged.filter((entry): entry is [string, string] => entry[1] !== null),
      );
    }
    Object.assign(meta, rest);
    meta.metageneration = String(Number(meta.metageneration) + 1);
    meta['updated'] = new Date(this.#now()).toISOString();
    return meta;
  }

  delete(bucket: string, name: string): void {
    this.bucket(bucket).objects.delete(name);
  }
}

function requireSums(wish: Wish, hashes: { crc32c: string; md5Hash: string }): void {
  for (const [name, sum] of [
    ['crc32c', hashes.crc32c],
    ['md5Hash', hashes.md5Hash],
  ] as const) {
    const said = wish[name];
    if (said !== undefined && said !== sum) throw badRequest(`Provided ${name} "${said}" is not "${sum}".`);
  }
}
