import { randomUUID } from 'node:crypto';
import { badRequest, noObject } from './api-error.ts';
import type { Buckets, ObjectMeta, Wish } from './buckets.ts';
import { contentOf } from './content.ts';
import { checkPreconditions } from './preconditions.ts';
import type { Route } from './route.ts';

const MOST_SOURCES = 32;

type ComposeRequest = {
  sourceObjects?: {
    name: string;
    generation?: string;
    objectPreconditions?: { ifGenerationMatch?: string };
  }[];
  destination?: Wish;
};

/** Objects that are made from others within the service: rewrite, copy, move, compose. */
export class DerivedObjects {
  readonly #buckets: Buckets;
  /** Rewrites that are on their way, by token: how many bytes are done, and of what. */
  readonly #rewrites = new Map<string, { done: number; generation: string }>();

  constructor(buckets: Buckets) {
    this.#buckets = buckets;
  }

  /** Does at most `step` bytes a call, and gives a token to go on with while there are more; one may be used again. */
  rewrite(route: Route, wish: Wish, step: number): object {
    const { query, bucket, name } = route;
    const source = this.#buckets.require(bucket, name, query, query.get('sourceGeneration'));
    const token = query.get('rewriteToken');
    const before = token === null ? undefined : this.#rewrites.get(token);
    if (token !== null && before?.generation !== source.meta.generation)
      throw badRequest('Invalid rewrite token.');
    checkPreconditions(query, this.#buckets.find(route.toBucket, route.toName));
    const { size } = source.content;
    const asked = Number(query.get('maxBytesRewrittenPerCall') ?? Number.POSITIVE_INFINITY);
    const done = Math.min((before?.done ?? 0) + Math.min(step, asked), size);
    const shown = {
      kind: 'storage#rewriteResponse',
      totalBytesRewritten: String(done),
      objectSize: String(size),
    };
    if (done < size) {
      const rewriteToken = randomUUID();
      this.#rewrites.set(rewriteToken, { done, generation: source.meta.generation });
      return { ...shown, done: false, rewriteToken };
    }
    return { ...shown, done: true, resource: this.copy(route, wish) };
  }

  /** What is said of the source is said of the copy too, unless the request says anything itself. */
  copy({ query, bucket, name, toBucket, toName }: Route, wish: Wish): ObjectMeta {
    const { meta, content } = this.#buckets.require(bucket, name, query, query.get('sourceGeneration'));
    checkPreconditions(query, this.#buckets.find(bucket, name), { side: 'Source' });
    const inherited: Wish = {
      contentType: meta.contentType,
      ...(meta.metadata ? { metadata: meta.metadata } : {}),
    };
    const said = Object.keys(wish).length === 0 ? inherited : wish;
    return this.#buckets.write({ bucket: toBucket, name: toName, content, wish: said, query }).meta;
  }

  move(route: Route): ObjectMeta {
    const meta = this.copy(route, {});
    this.#buckets.delete(route.bucket, route.name);
    return meta;
  }

  compose(
    { bucket, name, query }: Route,
    { sourceObjects = [], destination = {} }: ComposeRequest,
  ): ObjectMeta {
    if (sourceObjects.length === 0 || sourceObjects.length > MOST_SOURCES) {
      throw badRequest(`Between 1 and ${MOST_SOURCES} objects can be composed.`);
    }
    const sources = sourceObjects.map((wanted) => {
      const found = this.#buckets.find(bucket, wanted.name);
      const { generation } = found?.meta ?? {};
      if (!found || (wanted.generation !== undefined && String(wanted.generation) !== generation)) {
        throw noObject(bucket, wanted.name);
      }
      const condition = wanted.objectPreconditions?.ifGenerationMatch;
      const asked = new URLSearchParams(
        condition === undefined ? {} : { ifGenerationMatch: String(condition) },
      );
      checkPreconditions(asked, found);
      return found;
    });
    const content = contentOf(sources.flatMap((source) => source.content.pieces));
    const { meta } = this.#buckets.write({ bucket, name, content, wish: destination, query });
    delete meta.md5Hash;
    meta['componentCount'] = sources.length;
    return meta;
  }
}
