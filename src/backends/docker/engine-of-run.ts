import { realpath } from 'node:fs/promises';
import { GoldfishError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { RunHandle } from '../port.ts';
import { type EngineAddress, parseAddress, wrapperAddress } from './engine.ts';
import type { DockerDeps } from './options.ts';

/** What a handle keeps of the engine: another one may be configured before the run is over. */
export function engineData(address: EngineAddress): JsonObject {
  return address.kind === 'unusable' ? {} : { engine: wrapperAddress(address) };
}

/**
 * Another engine would say that the run has no containers, and they would be forgotten where they are. A handle that
 * was made before its launch was confirmed names none. Errors: BACKEND_UNAVAILABLE, also where no engine may be asked.
 */
export async function requireEngineOf(
  { address }: Pick<DockerDeps, 'address'>,
  { data }: RunHandle,
): Promise<void> {
  const now = wrapperAddress(address);
  const then = data['engine'];
  if (typeof then !== 'string' || then === now) return;
  if ((await place(parseAddress(then))) === (await place(address))) return;
  throw new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'The containers of the run are on another engine than the one that is configured now.',
    hint: 'Let docker.host (or DOCKER_HOST) name the engine that was used before, until the run is over.',
    retryable: true,
  });
}

/** A socket has several names: /var/run is a link to /run. */
async function place(address: EngineAddress): Promise<string> {
  if (address.kind !== 'socket') return wrapperAddress(address);
  return `unix://${await realpath(address.path).catch(() => address.path)}`;
}
