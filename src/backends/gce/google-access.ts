import type { GoogleAuth } from 'google-auth-library';
import { errnoBehind, GoldfishError } from '../../core/errors.ts';
import { isGoogleApi } from '../../core/google-api.ts';
import { isJsonObject } from '../../core/json.ts';
import type { GoogleAccess, GoogleAnswer, GoogleQuestion } from '../google-access.ts';

const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];
/** Says whose a token is, where the file it comes from does not: that of a person. */
const USERINFO = 'https://openidconnect.googleapis.com/v1/userinfo';

export type GoogleAccessOptions = {
  /** Whether an address may be shown the credentials; by default those of Google's APIs. */
  isGoogle?: (url: URL) => boolean;
};

/** Signs with the credentials of this machine, which are looked for when they are first needed. */
export function createGoogleAccess(options: GoogleAccessOptions = {}): GoogleAccess {
  const { isGoogle = isGoogleApi } = options;
  let made: Promise<GoogleAuth> | undefined;
  const auth = (): Promise<GoogleAuth> => {
    made ??= import('google-auth-library').then(({ GoogleAuth }) => new GoogleAuth({ scopes: SCOPES }));
    return made;
  };
  const ask = async (question: GoogleQuestion): Promise<GoogleAnswer> => {
    const url = new URL(question.url);
    try {
      return isGoogle(url) ? await askSigned(await auth(), question) : await askPlainly(question);
    } catch (error) {
      question.signal.throwIfAborted();
      throw unanswered(url, error);
    }
  };
  return {
    ask,
    account: async ({ signal }) => {
      const credentials = await (await auth()).getCredentials().catch((error: unknown) => {
        throw noCredentials(error);
      });
      if (credentials.client_email !== undefined) return { email: credentials.client_email };
      const { body } = await ask({ method: 'GET', url: USERINFO, signal });
      const email = isJsonObject(body) ? body['email'] : undefined;
      return { email: typeof email === 'string' ? email : null };
    },
  };
}

async function askSigned(auth: GoogleAuth, question: GoogleQuestion): Promise<GoogleAnswer> {
  const { method, url, body, signal } = question;
  const response = await auth.request<string>({
    method,
    url,
    signal,
    ...(body === undefined ? {} : { headers: JSON_HEADERS, data: JSON.stringify(body) }),
    responseType: 'text',
    redirect: 'manual',
    retry: false,
    validateStatus: () => true,
  });
  return { status: response.status, body: parse(response.data) };
}

const JSON_HEADERS = { 'content-type': 'application/json' };

async function askPlainly({ method, url, body, signal }: GoogleQuestion): Promise<GoogleAnswer> {
  const response = await fetch(url, {
    method,
    signal,
    redirect: 'manual',
    ...(body === undefined ? {} : { headers: JSON_HEADERS, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: parse(await response.text()) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function unanswered(url: URL, error: unknown): GoldfishError {
  if (!isOfTransport(error)) return noCredentials(error);
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `${url.host} does not answer (${errnoBehind(error) ?? 'no connection'}).`,
    hint: 'Look at the network of this machine, and at its proxy where it needs one.',
    retryable: true,
    cause: error,
  });
}

/**
 * What the network says comes with the request that it was about, or from fetch as TypeError; every answer of a service
 * is an answer here. So a response behind an error is that of the place which gives out tokens, and it refused.
 */
function isOfTransport(error: unknown): boolean {
  if (error instanceof TypeError) return true;
  if (!(error instanceof Error) || !('config' in error)) return false;
  return !('response' in error) || error.response === undefined;
}

function noCredentials(cause: unknown): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'This machine has no valid credentials of Google.',
    hint: 'Run "gcloud auth application-default login", or give this machine a service account.',
    details: { credentials: true },
    cause,
  });
}
