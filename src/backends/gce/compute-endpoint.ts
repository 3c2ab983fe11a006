import { GoldfishError } from '../../core/errors.ts';
import { clip } from '../../core/names.ts';

/** Where requests go instead of to the service itself, as its client wants to be told. */
export type ComputeEndpoint = { protocol: 'https' | 'http'; apiEndpoint: string; port: number };

/** Plain text goes nowhere but to this machine. Undefined: to the service. Errors: INVALID_CONFIG. */
export function computeEndpoint(apiEndpoint: string | null): ComputeEndpoint | undefined {
  if (apiEndpoint === null) return undefined;
  const url = URL.canParse(apiEndpoint) ? new URL(apiEndpoint) : undefined;
  if (url === undefined || !isPlain(url)) throw refused(apiEndpoint);
  const { hostname, port } = url;
  if (url.protocol === 'https:') {
    return { protocol: 'https', apiEndpoint: hostname, port: port === '' ? 443 : Number(port) };
  }
  const isHere = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
  if (url.protocol !== 'http:' || !isHere) throw refused(apiEndpoint);
  return { protocol: 'http', apiEndpoint: hostname, port: port === '' ? 80 : Number(port) };
}

/** The client puts the paths itself. */
function isPlain({ pathname, search, hash, username, password }: URL): boolean {
  return pathname === '/' && `${search}${hash}${username}${password}` === '';
}

function refused(apiEndpoint: string): GoldfishError {
  return new GoldfishError('INVALID_CONFIG', {
    message: `gce.api_endpoint is "${clip(apiEndpoint)}": not https, or http to this machine, without a path.`,
    hint: 'For a simulator on this machine write http://127.0.0.1:PORT; leave the key out for Google’s own service.',
  });
}
