import { errnoBehind, GoldfishError } from '../../core/errors.ts';

const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];

/** The part of the vendor's client that is called here. It keeps a token for as long as that holds. */
export type TokenClient = { getAccessToken(): Promise<string | null | undefined> };

/**
 * Access tokens of the account that Google's own tools would use here: of a file, of `gcloud`, of this machine.
 * Errors: BACKEND_UNAVAILABLE, retryable where Google did not answer.
 */
export function createAccessToken(make: () => Promise<TokenClient> = makeClient): () => Promise<string> {
  let client: Promise<TokenClient> | undefined;
  return async () => {
    client ??= make();
    try {
      const token = await (await client).getAccessToken();
      if (token) return token;
    } catch (error) {
      // Somebody may sign in meanwhile: the next one looks anew.
      client = undefined;
      throw tokenError(error);
    }
    throw tokenError(undefined);
  };
}

/** Importing it takes a good part of a second. */
async function makeClient(): Promise<TokenClient> {
  const { GoogleAuth } = await import('google-auth-library');
  return new GoogleAuth({ scopes: SCOPES });
}

function tokenError(cause: unknown): GoldfishError {
  if (isAway(cause)) {
    return new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `Google gave Goldfish no access token (${errnoBehind(cause) ?? 'no answer'}).`,
      hint: 'Repeat the call; if it stays so, look at the network.',
      retryable: true,
      cause,
    });
  }
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'Goldfish found no valid credentials for Google Cloud.',
    hint: 'Run "gcloud auth application-default login", or give this machine a service account; then repeat the call.',
    cause,
  });
}

/** The client puts the request beside what the network says, not beside what it says itself: that it finds no account. */
function isAway(error: unknown): boolean {
  if (!(error instanceof Error && 'config' in error)) return false;
  const response = 'response' in error ? error.response : undefined;
  if (typeof response !== 'object' || response === null || !('status' in response)) return true;
  return typeof response.status === 'number' && (response.status === 429 || response.status >= 500);
}
