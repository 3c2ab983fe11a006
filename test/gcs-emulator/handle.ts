import { type Answer, json, nothing } from './answer.ts';
import { badRequest } from './api-error.ts';
import type { Buckets, Wish } from './buckets.ts';
import { type Content, contentOf } from './content.ts';
import type { DerivedObjects } from './derive-objects.ts';
import { listObjects } from './list-objects.ts';
import { withMediaLink } from './media-link.ts';
import { parseMultipart } from './parse-multipart.ts';
import { checkPreconditions } from './preconditions.ts';
import { readObject } from './read-object.ts';
import type { Operation, Route } from './route.ts';
import type { Uploads } from './uploads.ts';

/** How the service is set up; it may be changed at any time. */
export type Limits = {
  rowsPerPage: number;
  bytesPerRewrite: number;
  /** Whether what a writer says of checksums is compared with what has come. */
  comparesSums: boolean;
};

type Service = { buckets: Buckets; uploads: Uploads; derived: DerivedObjects; limits: Limits };
export type ApiRequest = { route: Route; headers: Record<string, string>; content: Content; origin: string };

/** Does what a request asks for, at once and whole. Errors: ApiError. */
export function handle(service: Service, request: ApiRequest): Answer {
  return OPERATIONS[request.route.operation](service, request);
}

type Doing = (service: Service, request: ApiRequest) => Answer;

const OPERATIONS: Record<Operation, Doing> = {
  'buckets.insert': ({ buckets }, request) => json(buckets.create(bodyOf(request))),
  'buckets.list': ({ buckets }) => json({ kind: 'storage#buckets', items: buckets.all() }),
  'buckets.get': ({ buckets }, { route }) => json(buckets.bucket(route.bucket).meta),
  'buckets.layout': ({ buckets }, { route }) => {
    const { name, location } = buckets.bucket(route.bucket).meta;
    return json({ kind: 'storage#storageLayout', bucket: name, location, locationType: 'multi-region' });
  },
  'buckets.patch': ({ buckets }, request) =>
    json(Object.assign(buckets.bucket(request.route.bucket).meta, bodyOf(request))),
  'buckets.delete': ({ buckets }, { route }) => {
    buckets.remove(route.bucket);
    return nothing(204);
  },
  'objects.list': ({ buckets, limits }, { route, origin }) => {
    const { items, ...rest } = listObjects(
      buckets.bucket(route.bucket).objects,
      route.query,
      limits.rowsPerPage,
    );
    return json({ ...rest, items: items.map((item) => withMediaLink(item, origin)) });
  },
  'objects.get': (service, { route, origin }) => json(withMediaLink(looked(service, route).meta, origin)),
  'objects.read': (service, { route, headers }) => readObject(looked(service, route), headers['range'] ?? ''),
  'objects.insert': insert,
  'objects.patch': (service, request) => {
    const { route } = request;
    const object = service.buckets.require(route.bucket, route.name, route.query);
    checkPreconditions(route.query, object);
    return json(service.buckets.patch(object, bodyOf(request)));
  },
  'objects.delete': ({ buckets }, { route }) => {
    checkPreconditions(route.query, buckets.find(route.bucket, route.name));
    buckets.require(route.bucket, route.name, route.query);
    buckets.delete(route.bucket, route.name);
    return nothing(204);
  },
  'objects.rewrite': ({ derived, limits }, request) =>
    json(derived.rewrite(request.route, bodyOf(request), limits.bytesPerRewrite)),
  'objects.copy': ({ derived }, request) => json(derived.copy(request.route, bodyOf(request))),
  'objects.move': ({ derived }, { route }) => json(derived.move(route)),
  'objects.compose': ({ derived }, request) => json(derived.compose(request.route, bodyOf(request))),
  'uploads.start': ({ uploads }, request) => {
    const { route, headers, origin } = request;
    const contentType = headers['x-upload-content-type'];
    const wish: Wish = { ...(contentType === undefined ? {} : { contentType }), ...bodyOf(request) };
    const { bucket, query } = route;
    return uploads.start({ bucket, name: route.name || (wish.name ?? ''), wish, query, origin });
  },
  'uploads.write': ({ uploads }, { route, headers, content }) =>
    uploads.write(idOf(route), headers['content-range'] ?? '', content, headers['x-goog-hash'] ?? ''),
  'uploads.ask': ({ uploads }, { route }) => uploads.ask(idOf(route)),
  'uploads.cancel': ({ uploads }, { route }) => uploads.cancel(idOf(route)),
};

const idOf = (route: Route): string => route.query.get('upload_id') ?? '';

function looked({ buckets }: Service, { bucket, name, query }: Route) {
  const object = buckets.require(bucket, name, query);
  checkPreconditions(query, object, { reading: true });
  return object;
}

/** `uploadType` media: the body is the object. multipart: JSON about it, then the object. */
function insert({ buckets }: Service, { route, headers, content }: ApiRequest): Answer {
  const { bucket, query } = route;
  const contentType = headers['content-type'] ?? 'application/octet-stream';
  if (query.get('uploadType') === 'media') {
    return json(buckets.write({ bucket, name: route.name, content, wish: { contentType }, query }).meta);
  }
  if (query.get('uploadType') !== 'multipart') throw badRequest('Unknown uploadType.');
  const { wish, bytes } = parseMultipart(contentType, Buffer.concat(content.pieces));
  const name = route.name || (wish.name ?? '');
  return json(buckets.write({ bucket, name, content: contentOf([bytes]), wish, query }).meta);
}

function bodyOf({ content }: ApiRequest): Record<string, never> {
  if (content.size === 0) return {};
  try {
    return JSON.parse(Buffer.concat(content.pieces).toString()) as Record<string, never>;
  } catch {
    throw badRequest('Parse Error');
  }
}
