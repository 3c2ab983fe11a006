import { errnoOf, GoldfishError, isGoldfishError, messageOf } from '../../core/errors.ts';
import { clip } from '../../core/names.ts';
import { registryError, saysNoRepository } from '../registry-error.ts';

const DISK_FULL = /no space left on device|disk quota exceeded/i;
const NETWORK =
  /no such host|dial tcp|i\/o timeout|TLS handshake timeout|connection refused|network is unreachable|request canceled|server misbehaving|EOF$/i;
const UNKNOWN_IMAGE = /pull access denied|not found|manifest unknown|does not exist|unauthorized|denied:/i;
const NOT_LET_IN = /\b(denied|unauthorized|forbidden|authentication required)\b|no basic auth credentials/i;

/** HTTP status of an answer of the engine; undefined where it did not answer. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** The engine's own sentence, without the client's prefix. */
export function engineSays(error: unknown): string {
  return clip(messageOf(error).replace(/^\(HTTP code \d+\) [^-]*- /, ''), 300);
}

/** Errors of the engine and of the way to it, in words for people. Aborts and our own errors stay as they are. */
export function engineError(error: unknown, doing: string): unknown {
  if (isGoldfishError(error) || (error instanceof Error && error.name === 'AbortError')) return error;
  const status = statusOf(error);
  const says = engineSays(error);
  if (status === undefined) {
    const errno = errnoOf(error);
    return new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `The container engine does not answer${errno === undefined ? '' : ` (${errno})`}.`,
      hint: errno === 'EACCES' ? USE_RIGHTS : START,
      retryable: true,
      cause: error,
    });
  }
  if (DISK_FULL.test(says)) return diskFull(error);
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `The container engine refused to ${doing}: ${says}`,
    hint: 'The supervisor’s log has the whole answer.',
    details: { status },
    retryable: true,
    cause: error,
  });
}

export const START = 'Start the engine, or set docker.host to where it listens.';
export const USE_RIGHTS =
  'This user may not use the engine: add it to the engine’s group (docker), or set docker.host.';

/** The address itself is the trouble: no engine is asked, least of all the one that usually is. */
export function unusableEngine({ why, hint }: { why: string; hint: string }): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `No container engine can be asked: ${why}.`,
    hint,
  });
}

export function diskFull(cause: unknown): GoldfishError {
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: 'The disk of the container engine is full.',
    hint: 'Free some space, then retry.',
    retryable: true,
    cause,
  });
}

/** Why an image could not be fetched: no way to the registry, or no such image there. */
export function pullError(image: string, says: string): GoldfishError {
  if (DISK_FULL.test(says)) return diskFull(says);
  const unknown = UNKNOWN_IMAGE.test(says) && !NETWORK.test(says);
  return new GoldfishError(unknown ? 'INVALID_CONFIG' : 'BACKEND_UNAVAILABLE', {
    message: unknown
      ? `There is no image "${clip(image)}" on this machine, nor where images are fetched from.`
      : `The image "${clip(image)}" is not on this machine and could not be fetched: ${clip(says, 200)}`,
    hint: unknown
      ? 'Correct the name, or build the image here; images that need a login are fetched by hand first.'
      : `Check the network, fetch it by hand, or name an image that is here with docker.base_image.`,
    details: { image: clip(image) },
    retryable: !unknown,
  });
}

/** Why an image could not be pushed: no such place, not let in there, or no way to the registry. */
export function pushError(repository: string, says: string): GoldfishError {
  if (saysNoRepository(says)) return registryError(repository, { kind: 'missing' });
  const refused = NOT_LET_IN.test(says) && !NETWORK.test(says);
  const why = says.trim().replace(/\.$/, '');
  return registryError(repository, { kind: refused ? 'forbidden' : 'unreachable', why });
}

export function isNetworkTrouble(says: string): boolean {
  return NETWORK.test(says);
}

export function isDiskFull(says: string): boolean {
  return DISK_FULL.test(says);
}

export function isUnknownImage(says: string): boolean {
  return UNKNOWN_IMAGE.test(says);
}
