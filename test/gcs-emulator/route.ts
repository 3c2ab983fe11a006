import { ApiError } from '../support/google-api-error.ts';

/** What a request asks for; faults are aimed at these. */
export const OPERATIONS = [
  'buckets.insert',
  'buckets.list',
  'buckets.get',
  'buckets.layout',
  'buckets.patch',
  'buckets.delete',
  'objects.list',
  'objects.get',
  'objects.read',
  'objects.insert',
  'objects.patch',
  'objects.delete',
  'objects.rewrite',
  'objects.copy',
  'objects.move',
  'objects.compose',
  'uploads.start',
  'uploads.write',
  'uploads.ask',
  'uploads.cancel',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** `toBucket` and `toName` are where a copy goes. `legacy` is a read by address, as signed addresses do it. */
export type Route = {
  operation: Operation;
  query: URLSearchParams;
  bucket: string;
  name: string;
  toBucket: string;
  toName: string;
};

type Asked = { method: string; url: URL; contentRange: string };

export function routeOf({ method, url, contentRange }: Asked): Route {
  const [, kind = ''] = /^\/((?:resumable\/)?upload|download)(?=\/)/.exec(url.pathname) ?? [];
  const path = url.pathname.slice(kind === '' ? 0 : kind.length + 1).replace(/^\/storage\/v1(?=\/)/, '');
  const segments = path.split('/').slice(1).map(decodeURIComponent);
  const query = url.searchParams;
  const route = { query, bucket: '', name: '', toBucket: '', toName: '' };
  if (segments[0] !== 'b') {
    const [bucket = '', ...name] = segments;
    const operation = method === 'GET' || method === 'HEAD' ? 'objects.read' : undefined;
    return { ...route, operation: known(operation, method, url), bucket, name: name.join('/') };
  }
  const [, bucket = '', level, name = '', verb, ...target] = segments;
  const to = verb === 'moveTo' ? { toBucket: bucket, toName: target[1] ?? '' } : copyTarget(target);
  let operation: Operation | undefined;
  if (kind.endsWith('upload')) operation = uploadOperation(method, query, contentRange);
  else if (level === undefined) operation = bucketOperation(method, bucket);
  else if (level === 'storageLayout') operation = method === 'GET' ? 'buckets.layout' : undefined;
  else if (level === 'o' && name === '') operation = method === 'GET' ? 'objects.list' : undefined;
  else if (level === 'o')
    operation = objectOperation(method, verb, kind === 'download' || query.get('alt') === 'media');
  return {
    ...route,
    ...to,
    operation: known(operation, method, url),
    bucket,
    name: name || (query.get('name') ?? ''),
  };
}

function known(operation: Operation | undefined, method: string, url: URL): Operation {
  if (operation) return operation;
  throw new ApiError(501, 'notImplemented', `The emulator knows no ${method} ${url.pathname}`);
}

function copyTarget([b, toBucket = '', o, toName = '']: string[]): { toBucket: string; toName: string } {
  return b === 'b' && o === 'o' ? { toBucket, toName } : { toBucket: '', toName: '' };
}

function bucketOperation(method: string, bucket: string): Operation | undefined {
  if (bucket === '') return ({ POST: 'buckets.insert', GET: 'buckets.list' } as const)[method];
  return ({ GET: 'buckets.get', PATCH: 'buckets.patch', DELETE: 'buckets.delete' } as const)[method];
}

function objectOperation(method: string, verb: string | undefined, media: boolean): Operation | undefined {
  if (verb !== undefined) {
    if (method !== 'POST') return undefined;
    return (
      {
        rewriteTo: 'objects.rewrite',
        copyTo: 'objects.copy',
        moveTo: 'objects.move',
        compose: 'objects.compose',
      } as const
    )[verb];
  }
  if (method === 'GET') return media ? 'objects.read' : 'objects.get';
  return ({ PATCH: 'objects.patch', PUT: 'objects.patch', DELETE: 'objects.delete' } as const)[method];
}

function uploadOperation(method: string, query: URLSearchParams, range: string): Operation | undefined {
  if (method === 'POST') return query.get('uploadType') === 'resumable' ? 'uploads.start' : 'objects.insert';
  if (method === 'DELETE') return 'uploads.cancel';
  if (method !== 'PUT') return undefined;
  return range.startsWith('bytes */') && range.endsWith('/*') ? 'uploads.ask' : 'uploads.write';
}
