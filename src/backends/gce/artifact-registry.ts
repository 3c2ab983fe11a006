import { createHash } from 'node:crypto';
import { z } from 'zod';
import { GoldfishError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { clip } from '../../core/names.ts';
import type { ImageRegistry } from '../image-registry.ts';
import type { CallOptions } from '../port.ts';
import { registryError, saysNoRepository } from '../registry-error.ts';
import {
  askRegistry,
  type RegistryAnswer,
  type RegistryWay,
  refusal,
  type Send,
} from './registry-request.ts';
import { accessToken, signIn, TOKEN_USER } from './registry-sign-in.ts';

export type ArtifactRegistryOptions = {
  /** `gce.artifact_registry`: `europe-docker.pkg.dev/project/repository`, or `127.0.0.1:5000/name`. */
  repository: string;
  /** Access tokens of the account; null: nobody signs in. */
  token: (() => Promise<string>) | null;
  /** For one request, in milliseconds (15,000). */
  limitMs?: number;
  send?: Send;
};

const LIMIT_MS = 15_000;

const HOST = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\\[::1\\])(?::[0-9]{1,5})?';
const PART = '[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^(${HOST})/(${PART}(?:/${PART})*)$`);
const HERE = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** What one image is described by. */
const IMAGE_MANIFESTS: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
];
/** Under a name there may also be a list of images for several kinds of machines. */
const MANIFESTS: readonly string[] = [
  ...IMAGE_MANIFESTS,
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.index.v1+json',
];
const DIGEST = /^sha256:[0-9a-f]{64}$/;

const errorAnswer = z.object({ errors: z.array(z.object({ message: z.string() })) });
/**
 * Whoever reads it must find the same in it. So it has no other keys: an engine may take `Config` for `config`, and a list
 * for what it is.
 */
const imageManifest = z.strictObject({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: z.strictObject({ mediaType: z.string(), size: z.number(), digest: z.string() }),
  layers: z.array(z.unknown()),
  annotations: z.unknown().optional(),
});

/** A description in the registry: by a tag or a digest. */
type Manifest = { name: string; reference: string };

/**
 * A repository of Google's Artifact Registry, or of any registry with the same interface (HTTP API v2). Always https;
 * plain http to this machine only, and then nobody signs in. Errors: INVALID_CONFIG for a repository that is none; those
 * of the port.
 */
export function createArtifactRegistry(options: ArtifactRegistryOptions): ImageRegistry {
  const way = wayTo(options);
  const find = (manifest: Manifest, call: CallOptions) => findManifest(way, manifest, call);
  const byDigest = (reference: string): Manifest => {
    const [repository = '', digest = ''] = reference.split('@');
    if (!DIGEST.test(digest)) throw new Error(`${clip(reference)} names no digest`);
    return { name: nameOf(way, repository), reference: digest };
  };
  return {
    digest: async ({ repository, tag }, call = {}) =>
      find({ name: nameOf(way, repository), reference: tag }, call),
    exists: async (reference, call = {}) => (await find(byDigest(reference), call)) !== undefined,
    isImage: async (reference, id, call = {}) => isImage(way, { manifest: byDigest(reference), id }, call),
    login: async (call = {}) => {
      if (way.token === null) return null;
      return { username: TOKEN_USER, password: await accessToken(way, way.token, call) };
    },
  };
}

function wayTo({
  repository,
  token,
  limitMs = LIMIT_MS,
  send = fetch,
}: ArtifactRegistryOptions): RegistryWay {
  const host = REPOSITORY.exec(repository)?.[1];
  // An engine takes a first part without dot and port for a folder of the public registry.
  if (host === undefined || !/[.:]|^localhost$/.test(host) || !URL.canParse(`https://${host}`))
    throw noRepository(repository);
  const here = HERE.test(new URL(`https://${host}`).hostname);
  return {
    repository,
    origin: `${here ? 'http' : 'https'}://${host}`,
    token: here ? null : token,
    limitMs,
    send,
  };
}

function noRepository(repository: string): GoldfishError {
  return new GoldfishError('INVALID_CONFIG', {
    message: `gce.artifact_registry is "${clip(repository)}": no repository for images such as europe-docker.pkg.dev/project/repository.`,
    hint: 'Write the registry’s host and the repository’s path in small letters, without https:// and without a tag.',
  });
}

/** What the registry calls an image. A token of ours goes nowhere but to our repository. */
function nameOf(way: RegistryWay, image: string): string {
  if (!image.startsWith(`${way.repository}/`))
    throw new Error(`${clip(image)} does not lie in ${way.repository}`);
  return image.slice(image.indexOf('/') + 1);
}

async function findManifest(
  way: RegistryWay,
  manifest: Manifest,
  call: CallOptions,
): Promise<string | undefined> {
  const ask = questionsAbout(way, manifest, call);
  const answer = await ask('HEAD');
  if (answer.status === 200) return digestOf(way, answer.headers);
  if (answer.status !== 404) throw refusal(way, answer.status);
  // That is all a HEAD says. Into a repository that is not there nothing can be pushed either.
  const { text } = await ask('GET');
  if (messagesOf(text).some(saysNoRepository)) throw registryError(way.repository, { kind: 'missing' });
  return undefined;
}

/** One after the other; signs in where the registry wants to know who asks. */
function questionsAbout(
  way: RegistryWay,
  { name, reference }: Manifest,
  call: CallOptions,
): (method: 'GET' | 'HEAD') => Promise<RegistryAnswer> {
  const url = new URL(`/v2/${name}/manifests/${reference}`, way.origin);
  let authorization: string | undefined;
  const ask = (method: 'GET' | 'HEAD'): Promise<RegistryAnswer> => {
    const headers = {
      accept: MANIFESTS.join(', '),
      ...(authorization === undefined ? {} : { authorization }),
    };
    return askRegistry(way, { method, url, headers }, call);
  };
  return async (method) => {
    const answer = await ask(method);
    if (answer.status !== 401 || authorization !== undefined) return answer;
    authorization = await signIn(way, { name, asks: answer.headers.get('www-authenticate') }, call);
    return ask(method);
  };
}

/**
 * An engine calls an image by the digest of its settings, or, where containerd keeps its images, by that of its
 * description. The settings name the content of every layer, and whoever pulls compares: so no other image has them.
 */
async function isImage(
  way: RegistryWay,
  { manifest, id }: { manifest: Manifest; id: string },
  call: CallOptions,
): Promise<boolean> {
  if (manifest.reference === id) return true;
  const { status, headers, text } = await questionsAbout(way, manifest, call)('GET');
  if (status === 404) return false;
  if (status !== 200) throw refusal(way, status);
  if (!IMAGE_MANIFESTS.includes(typeOf(headers))) return false;
  // What was cut because it is too long is none of ours either.
  if (`sha256:${createHash('sha256').update(text).digest('hex')}` !== manifest.reference) return false;
  return imageManifest.safeParse(parseJson(text)).data?.config.digest === id;
}

function digestOf(way: RegistryWay, headers: Headers): string {
  const strange = (why: string): GoldfishError => registryError(way.repository, { kind: 'strange', why });
  const type = typeOf(headers);
  if (!MANIFESTS.includes(type)) throw strange(`its answer is ${type || 'of no type'}`);
  const digest = headers.get('docker-content-digest') ?? '';
  if (!DIGEST.test(digest)) throw strange('it does not tell the digest');
  return digest;
}

function typeOf(headers: Headers): string {
  const [type = ''] = (headers.get('content-type') ?? '').split(';');
  return type.trim();
}

/** None where the text is not what a registry says when it refuses. */
function messagesOf(text: string): string[] {
  return errorAnswer.safeParse(parseJson(text)).data?.errors.map(({ message }) => message) ?? [];
}
