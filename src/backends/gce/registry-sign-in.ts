import { z } from 'zod';
import { parseJson } from '../../core/json.ts';
import { untilAborted } from '../../core/until-aborted.ts';
import type { CallOptions } from '../port.ts';
import { registryError } from '../registry-error.ts';
import { askRegistry, type RegistryWay, refusal, tooLate } from './registry-request.ts';

/** Google's registries take an access token for a password, under this name. */
export const TOKEN_USER = 'oauth2accesstoken';

/** What the registry wants of who asks: a password, or a token that is got for one at `realm`. */
type Challenge = { scheme: 'basic' } | { scheme: 'bearer'; values: ReadonlyMap<string, string> };

/** Only what can stand in a header. */
const word = z.string().regex(/^[\x21-\x7e]+$/);
const tokenAnswer = z.union([
  z.object({ token: word }),
  z.object({ access_token: word }).transform(({ access_token: token }) => ({ token })),
]);

/**
 * The header that lets a request for the image in, as the registry's refusal (its `WWW-Authenticate`) asks for it.
 * Where nobody signs in the token is asked for without a password: many registries give one to read with.
 * Errors: BACKEND_UNAVAILABLE.
 */
export async function signIn(
  way: RegistryWay,
  { name, asks }: { name: string; asks: string | null },
  call: CallOptions,
): Promise<string> {
  const challenge = readChallenge(asks ?? '');
  if (challenge === undefined) throw refusal(way, 401);
  if (challenge.scheme === 'basic') {
    const password = await passwordHeader(way, call);
    if (password === undefined) throw refusal(way, 401);
    return password;
  }
  const url = realmAddress(way, challenge.values.get('realm') ?? '');
  const service = challenge.values.get('service');
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', challenge.values.get('scope') ?? `repository:${name}:pull`);
  const password = await passwordHeader(way, call);
  const headers: Record<string, string> = password === undefined ? {} : { authorization: password };
  const answer = await askRegistry(way, { method: 'GET', url, headers }, call);
  if (answer.status !== 200) throw refusal(way, answer.status);
  return `Bearer ${tokenOf(way, answer.text)}`;
}

/** The account's access token. Errors: BACKEND_UNAVAILABLE; whatever the signal was aborted with. */
export async function accessToken(
  way: RegistryWay,
  token: () => Promise<string>,
  { signal }: CallOptions,
): Promise<string> {
  signal?.throwIfAborted();
  const limit = AbortSignal.timeout(way.limitMs);
  try {
    return await untilAborted(token(), signal ? AbortSignal.any([signal, limit]) : limit);
  } catch (cause) {
    signal?.throwIfAborted();
    if (!limit.aborted) throw cause;
    const why = `the account’s token: ${tooLate(way)}`;
    throw registryError(way.repository, { kind: 'unreachable', why, cause });
  }
}

async function passwordHeader(way: RegistryWay, call: CallOptions): Promise<string | undefined> {
  if (way.token === null) return undefined;
  const password = await accessToken(way, way.token, call);
  return `Basic ${Buffer.from(`${TOKEN_USER}:${password}`).toString('base64')}`;
}

function readChallenge(header: string): Challenge | undefined {
  const asked = /(?:^|,\s*)bearer\s+(.*)$/i.exec(header)?.[1];
  if (asked === undefined) return /(?:^|,\s*)basic\b/i.test(header) ? { scheme: 'basic' } : undefined;
  const values = new Map<string, string>();
  for (const [, key = '', value = ''] of asked.matchAll(/(\w+)="([^"]*)"/g)) {
    // Another scheme may follow, with a realm of its own.
    if (!values.has(key.toLowerCase())) values.set(key.toLowerCase(), value);
  }
  return { scheme: 'bearer', values };
}

/** Whoever answers must not choose where the account's token goes. */
function realmAddress(way: RegistryWay, realm: string): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  const own = new URL(way.origin);
  if (url?.protocol === own.protocol && url.hostname === own.hostname) return url;
  throw registryError(way.repository, { kind: 'strange', why: 'it wants the login sent elsewhere' });
}

function tokenOf(way: RegistryWay, text: string): string {
  const found = tokenAnswer.safeParse(parseJson(text)).data;
  if (found === undefined) throw registryError(way.repository, { kind: 'strange', why: 'it gives no token' });
  return found.token;
}
