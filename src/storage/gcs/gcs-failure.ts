import { errnoOf } from '../../core/errors.ts';

/**
 * - `status`: the service refused, `status` says how
 * - `network`: there was no whole answer
 * - `credentials`: there was no request, because nothing was found to sign it with
 * - `bucket`: there is no such bucket
 * - `damaged`: bytes arrived as others than were sent
 * - `lost`: what was begun cannot be gone on with
 * - `source`: the body of a write could not be read
 */
export type FailureKind = 'status' | 'network' | 'credentials' | 'bucket' | 'damaged' | 'lost' | 'source';

/** What went wrong with a request, before it is put into words for people. Never leaves the adapter. */
export class GcsFailure extends Error {
  readonly kind: FailureKind;
  readonly status: number | undefined;

  constructor(kind: FailureKind, init: { message?: string; status?: number; cause?: unknown } = {}) {
    super(init.message ?? kind, init.cause === undefined ? undefined : { cause: init.cause });
    this.kind = kind;
    this.status = init.status;
  }

  /** Whether the next attempt may succeed; how this one ended on the other side is not known then. */
  get passes(): boolean {
    return this.kind === 'network' || (this.status !== undefined && PASSING.includes(this.status));
  }
}

const PASSING = [408, 429, 500, 502, 503, 504];

export function isStatus(error: unknown, ...statuses: number[]): boolean {
  return error instanceof GcsFailure && error.status !== undefined && statuses.includes(error.status);
}

export function isPassing(error: unknown): boolean {
  return error instanceof GcsFailure && error.passes;
}

/** What the transport threw, which answers every HTTP status with a response: there was none. */
export function transportFailure(error: unknown): GcsFailure {
  // A response behind an error is that of the place which gives out tokens.
  const status = error instanceof Error && 'response' in error ? statusOf(error.response) : undefined;
  if (status !== undefined && !PASSING.includes(status))
    return new GcsFailure('credentials', { cause: error });
  return new GcsFailure(isTransportError(error) ? 'network' : 'credentials', { cause: error });
}

function statusOf(response: unknown): number | undefined {
  if (typeof response !== 'object' || response === null || !('status' in response)) return undefined;
  return typeof response.status === 'number' ? response.status : undefined;
}

/** The client wraps what the network says, but not what it says itself: that it finds no credentials, or a bad file. */
function isTransportError(error: unknown): boolean {
  return error instanceof Error && 'config' in error;
}

/** The system's word for it (`ECONNREFUSED`, …), however deep it lies. */
export function errnoBelow(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const errno = errnoOf(at);
    if (errno !== undefined && /^E[A-Z0-9]+$/.test(errno)) return errno;
  }
  return undefined;
}
