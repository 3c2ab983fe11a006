import { type Clock, systemClock } from '../../core/clock.ts';
import { GoldfishError } from '../../core/errors.ts';
import { clip } from '../../core/names.ts';
import { checkKey, MAX_KEY_BYTES } from '../object-key.ts';
import type { ObjectStorage } from '../port.ts';
import { copyObject, deleteObject } from './change-object.ts';
import { createTransport, type GcsBucket } from './gcs-bucket.ts';
import { getObject } from './get-object.ts';
import { listObjects } from './list-objects.ts';
import { objectStat } from './object-resource.ts';
import { putObject } from './put-object.ts';
import { findObject } from './stat-object.ts';
import { storageError } from './storage-error.ts';

export type GcsStorageOptions = {
  bucket: string;
  /** Keys are below it, as `artifacts/`; by default the whole bucket. */
  prefix?: string;
  /** Another address: `https://…`, or `http://…` on this machine. Credentials are sent to Google's own only. */
  apiEndpoint?: string;
  clock?: Clock;
  /** How long one step of a call is repeated while the service fails, in milliseconds (60,000). */
  budgetMs?: number;
  /** A larger body is uploaded in pieces of this many bytes, a multiple of 256 KiB (8 MiB). Two are held in memory. */
  chunkBytes?: number;
};

const BUDGET_MS = 60_000;
const CHUNK_BYTES = 8 << 20;

/**
 * Objects in a bucket of Cloud Storage, under the same keys, conditions and errors as on a local disk. Several
 * processes and machines may share it: the service itself decides which of two conditional writes holds. A step is one
 * request, or one piece of a large body. A write that fails with STORAGE_UNAVAILABLE may have been done all the same.
 * Errors: INVALID_CONFIG for an endpoint that is none; those of the port.
 */
export function createGcsStorage(options: GcsStorageOptions): ObjectStorage {
  if (options.apiEndpoint !== undefined) checkEndpoint(options.apiEndpoint);
  const { budgetMs = BUDGET_MS, chunkBytes = CHUNK_BYTES, prefix = '', clock = systemClock } = options;
  const where = createTransport(options.apiEndpoint);
  const bucket: GcsBucket = {
    ...where,
    name: options.bucket,
    prefix,
    clock,
    budgetMs,
    chunkBytes,
    seen: false,
  };
  const translated = async <T>(keys: readonly string[], work: () => Promise<T>): Promise<T> => {
    for (const key of keys) requireKey(bucket, key);
    try {
      return await work();
    } catch (error) {
      throw storageError(bucket, error);
    }
  };
  return {
    name: 'gcs',
    put: (key, body, call = {}) => translated([key], () => putObject(bucket, { key, body, call })),
    get: (key, call = {}) => translated([key], () => getObject(bucket, key, call)),
    stat: (key, call = {}) =>
      translated([key], async () => {
        const found = await findObject(bucket, key, call.signal);
        return found && objectStat(bucket, found);
      }),
    list: (prefixOfKeys, request = {}) => translated([], () => listObjects(bucket, prefixOfKeys, request)),
    delete: (key, call = {}) => translated([key], () => deleteObject(bucket, key, call)),
    copy: (from, to, call = {}) => translated([from, to], () => copyObject(bucket, { from, to, call })),
    localPath: (key) => {
      requireKey(bucket, key);
      return undefined;
    },
  };
}

function requireKey(bucket: GcsBucket, key: string): void {
  checkKey(key);
  if (Buffer.byteLength(bucket.prefix + key) <= MAX_KEY_BYTES) return;
  throw new GoldfishError('PATH_OUTSIDE_ROOT', {
    message: `"${clip(key)}" is no key of a stored object: with "${clip(bucket.prefix)}" before it, it is longer than ${MAX_KEY_BYTES} bytes.`,
    hint: 'Take a shorter name.',
  });
}

/** Plain text goes nowhere but to this machine. */
function checkEndpoint(apiEndpoint: string): void {
  const url = URL.canParse(apiEndpoint) ? new URL(apiEndpoint) : undefined;
  const here = url !== undefined && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  const plain = url !== undefined && url.pathname === '/' && url.search === '' && url.username === '';
  if (plain && (url.protocol === 'https:' || (url.protocol === 'http:' && here))) return;
  throw new GoldfishError('INVALID_CONFIG', {
    message: `storage.gcs.api_endpoint is "${clip(apiEndpoint)}": not https, or http to this machine, without a path.`,
    hint: 'For an emulator on this machine write http://127.0.0.1:PORT; leave the key out for Google’s own service.',
  });
}
