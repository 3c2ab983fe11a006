import { randomUUID } from 'node:crypto';
import { ApiError } from '../support/google-api-error.ts';
import { type Answer, json, nothing } from './answer.ts';
import { badRequest } from './api-error.ts';
import type { Buckets, ObjectMeta, Wish } from './buckets.ts';
import { type Content, contentOf, sliceContent } from './content.ts';
import { checkPreconditions } from './preconditions.ts';

/** What a session keeps of a request that did not finish the object is a multiple of this. */
const GRAIN = 256 * 1024;

type Session = {
  bucket: string;
  name: string;
  wish: Wish;
  query: URLSearchParams;
  content: Content;
  stored?: ObjectMeta;
};

/** Resumable uploads: sessions that take an object in pieces, and can be asked how far they are. */
export class Uploads {
  readonly #sessions = new Map<string, Session>();
  readonly #buckets: Buckets;

  constructor(buckets: Buckets) {
    this.#buckets = buckets;
  }

  /** Names of the objects that somebody has begun to upload and neither finished nor cancelled. */
  open(bucket: string): string[] {
    const all = [...this.#sessions.values()];
    return all.filter((session) => session.bucket === bucket && !session.stored).map(({ name }) => name);
  }

  start(begun: { bucket: string; name: string; wish: Wish; query: URLSearchParams; origin: string }): Answer {
    const { bucket, name, wish, query, origin } = begun;
    if (name === '') throw badRequest('An object needs a name.');
    checkPreconditions(query, this.#buckets.find(bucket, name));
    const id = randomUUID();
    this.#sessions.set(id, { bucket, name, wish, query, content: contentOf([]) });
    const path = `/upload/storage/v1/b/${encodeURIComponent(bucket)}/o`;
    const location = `${origin}${path}?uploadType=resumable&upload_id=${id}`;
    return nothing(200, { location, 'x-guploader-uploadid': id });
  }

  /** A piece: `Content-Range: bytes FIRST-LAST/TOTAL`, where LAST and TOTAL may be `*`; or only the total, which ends it. */
  write(id: string, contentRange: string, content: Content, hash: string): Answer {
    const session = this.#session(id);
    if (session.stored) return json(session.stored);
    const range = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(contentRange);
    if (contentRange !== '' && !range) throw badRequest(`Failed to parse Content-Range "${contentRange}".`);
    const start = Number(range?.[1] ?? (range ? session.content.size : 0));
    if (start > session.content.size)
      throw new ApiError(503, 'backendError', 'Bytes before these are missing.');
    const kept = sliceContent(session.content, 0, start);
    session.content = contentOf([...kept.pieces, ...content.pieces]);
    const openEnd = range?.[2] === '*' && range[3] === '*';
    const total = !range || openEnd ? session.content.size : Number(range[3]);
    if (session.content.size !== total) return this.#incomplete(session);
    const crc32c = /crc32c=([^,]+)/.exec(hash)?.[1];
    const wish = { ...session.wish, ...(crc32c === undefined ? {} : { crc32c }) };
    session.stored = this.#buckets.write({ ...session, wish }).meta;
    session.content = contentOf([]);
    return json(session.stored);
  }

  /** How far it is. */
  ask(id: string): Answer {
    const session = this.#session(id);
    return session.stored ? json(session.stored) : this.#incomplete(session);
  }

  cancel(id: string): Answer {
    this.#session(id);
    this.#sessions.delete(id);
    return nothing(499);
  }

  #incomplete(session: Session): Answer {
    const whole = session.content.size - (session.content.size % GRAIN);
    session.content = sliceContent(session.content, 0, whole);
    return nothing(308, whole === 0 ? {} : { range: `bytes=0-${whole - 1}` });
  }

  #session(id: string): Session {
    const session = this.#sessions.get(id);
    if (!session) throw new ApiError(404, 'notFound', 'No such upload.');
    return session;
  }
}
