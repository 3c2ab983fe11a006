import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import { errnoOf, GoldfishError, isGoldfishError } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import { type JsonObject, sha256 } from '../core/json.ts';
import type { Layout } from '../core/layout.ts';
import { clip, requireName } from '../core/names.ts';
import type { Source } from '../core/rows.ts';
import { diskSpace } from '../os/disk-space.ts';
import type { ObjectStorage } from '../storage/port.ts';
import type { Db } from '../store/database.ts';
import { insertSource, newestSource, nextSourceVersion } from '../store/sources.ts';
import { copySource } from './copy-source.ts';
import { forbiddenPlaces, locateSource, type SourceLocation } from './source-location.ts';
import { type StoredContent, storeFile, storeFolder } from './store-content.ts';
import { type Survey, surveySource } from './survey-source.ts';
import { verifyCopy } from './verify-copy.ts';

export type SourceDeps = {
  db: Db;
  clock: Clock;
  ids: Ids;
  layout: Layout;
  config: Pick<Config, 'dataRoots' | 'stateDir' | 'storage'>;
  storage: ObjectStorage;
};

export type RegisterRequest = {
  name: string;
  uri: string;
  description: string;
  metadata?: JsonObject;
  /** How the copy is compared with the original. */
  fingerprint?: Source['fingerprint'];
};

export type RegisterCall = {
  signal?: AbortSignal;
  progress?: (done: { copied: number; size: number }) => void;
};

/** `created` is false where the newest version has this very content. */
export type Registered = { source: Source; created: boolean };

/**
 * Copies a file or folder of this machine into the object storage and names it: the next version of the source.
 * Errors: PATH_OUTSIDE_ROOT, INVALID_ARGUMENT, CONFLICT where somebody writes to it meanwhile, STORAGE_UNAVAILABLE.
 */
export async function registerSource(
  deps: SourceDeps,
  request: RegisterRequest,
  call: RegisterCall = {},
): Promise<Registered> {
  requireName(request.name, 'source');
  const { fingerprint = 'full', metadata = {} } = request;
  const location = await locateSource(placesOf(deps), request.uri);
  const content = await copyToStorage(deps, { location, fingerprint, store: true }, call);
  return addVersion(deps, { ...request, uri: location.uri, fingerprint, metadata, content });
}

/**
 * What a path stands for as an input: a source named after the path, registered on the way.
 * Without `store` nothing changes: the answer is what it would be.
 */
export async function sourceFromPath(
  deps: SourceDeps,
  path: string,
  options: { store: boolean; signal?: AbortSignal },
): Promise<{ name: string; version: number; hash: string; kind: Source['kind'] }> {
  const { location, content } = await contentOfPath(deps, path, options);
  const name = nameOfPath(location);
  const known = newestSource(deps.db, name);
  if (known && hasContent(known, content)) return pick(known);
  if (!options.store) return pick({ ...content, name, version: nextSourceVersion(deps.db, name) });
  const description = `Given as a path to inputs_override: ${clip(location.uri, 200)}`;
  return pick(
    addVersion(deps, {
      name,
      uri: location.uri,
      description,
      fingerprint: 'full',
      metadata: {},
      content,
    }).source,
  );
}

async function contentOfPath(
  deps: SourceDeps,
  path: string,
  options: { store: boolean; signal?: AbortSignal },
): Promise<{ location: SourceLocation; content: StoredContent }> {
  try {
    const location = await locateSource(placesOf(deps), path);
    const how = { location, fingerprint: 'full', store: options.store } as const;
    return { location, content: await copyToStorage(deps, how, options) };
  } catch (error) {
    throw isGoldfishError(error) && error.details['field'] === 'uri' ? ofInputsOverride(error) : error;
  }
}

/** The refusal of a path in the words of the call that named it. */
function ofInputsOverride({ code, message, hint, details, retryable }: GoldfishError): GoldfishError {
  return new GoldfishError(code === 'INVALID_ARGUMENT' ? 'INPUT_UNAVAILABLE' : code, {
    message,
    ...(hint === undefined ? {} : { hint }),
    details: { ...details, field: 'inputs_override' },
    retryable,
  });
}

function pick(source: Pick<Source, 'name' | 'version' | 'hash' | 'kind'>) {
  return { name: source.name, version: source.version, hash: source.hash, kind: source.kind };
}

/** Readable, and another for every path. */
function nameOfPath({ path, uri }: SourceLocation): string {
  const last = path.slice(path.lastIndexOf('/') + 1);
  const word = last.replaceAll(/[^a-zA-Z0-9]+/g, '_').replaceAll(/^_+|_+$/g, '');
  return `path-${word.slice(0, 40) || 'data'}-${sha256(uri).slice(7, 15)}`;
}

function placesOf({ config, layout }: SourceDeps) {
  const { root } = layout;
  const storagePath = config.storage.local.path;
  const forbidden = forbiddenPlaces({ root, stateDir: config.stateDir, storagePath });
  return { root, dataRoots: config.dataRoots, forbidden };
}

type CopyHow = { location: SourceLocation; fingerprint: Source['fingerprint']; store: boolean };

/** Into a folder of our own first: what is hashed and stored is then what nobody else can write to. */
async function copyToStorage(deps: SourceDeps, how: CopyHow, call: RegisterCall): Promise<StoredContent> {
  const from = how.location.path;
  const { signal, progress } = call;
  const survey = await surveySource(from, signal);
  if (!how.store) return store(deps, { into: from, survey, store: false }, signal);
  await requireRoom(deps, survey);
  const scratch = join(deps.layout.scratch, `source-${deps.ids.reference()}`);
  const into = join(scratch, 'copy');
  try {
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    const report = (copied: number): void => progress?.({ copied, size: survey.size });
    await copySource({ from, into, survey, signal, progress: report });
    await verifyCopy({ from, into, survey, fingerprint: how.fingerprint, signal });
    return await store(deps, { into, survey, store: true }, signal);
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    throw ['ENOSPC', 'EDQUOT'].includes(errno) ? diskFull(survey.size, { errno, cause: error }) : error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function store(
  deps: SourceDeps,
  copy: { into: string; survey: Survey; store: boolean },
  signal: AbortSignal | undefined,
): Promise<StoredContent> {
  const call = { storage: deps.storage, clock: deps.clock, dry: !copy.store, ...(signal ? { signal } : {}) };
  if (copy.survey.kind === 'file') return storeFile(call, copy.into);
  const stored = await storeFolder(call, copy.into);
  if (typeof stored !== 'string') return stored;
  throw new GoldfishError('INVALID_ARGUMENT', { message: `This cannot be registered: ${stored}.` });
}

/** The copy lies in the state folder, and becomes the object where the storage lies there too. */
async function requireRoom(deps: SourceDeps, survey: Survey): Promise<void> {
  const { freeBytes } = await diskSpace(deps.layout.stateDir);
  if (freeBytes < survey.size) throw diskFull(survey.size, { errno: 'ENOSPC' });
  if (freeBytes - survey.size < deps.config.storage.keep.minFreeBytes) throw diskFull(survey.size);
}

function diskFull(size: number, met?: { errno: string; cause?: unknown }): GoldfishError {
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: `The disk has no room for a copy of ${size} bytes beside what storage.keep.min_free_gb holds back.`,
    hint: 'Free space: `goldfish gc` shows what Goldfish can give back.',
    details: { size, ...(met === undefined ? {} : { errno: met.errno }) },
    retryable: true,
    ...(met?.cause === undefined ? {} : { cause: met.cause }),
  });
}

function hasContent(source: Source, content: StoredContent): boolean {
  // An empty file and an empty folder have the same hash.
  return source.hash === content.hash && source.kind === content.kind;
}

type NewVersion = Pick<Source, 'name' | 'uri' | 'description' | 'fingerprint' | 'metadata'> & {
  content: StoredContent;
  from?: { runId: string; signal: string };
};

/** One transaction: two who register the same content at once get one version. */
export function addVersion(deps: Pick<SourceDeps, 'db' | 'clock'>, made: NewVersion): Registered {
  const { content, from, ...told } = made;
  return deps.db.write(() => {
    const newest = newestSource(deps.db, made.name);
    if (newest && hasContent(newest, content)) return { source: newest, created: false };
    const source: Source = {
      ...told,
      ...content,
      version: nextSourceVersion(deps.db, made.name),
      fromRunId: from?.runId ?? null,
      fromSignal: from?.signal ?? null,
      createdAt: isoTime(deps.clock.now()),
      deletedAt: null,
    };
    insertSource(deps.db, source);
    return { source, created: true };
  });
}
