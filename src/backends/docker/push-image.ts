import { GoldfishError } from '../../core/errors.ts';
import type { ImagePush } from '../image-builder.ts';
import type { CallOptions } from '../port.ts';
import type { Engine } from './engine.ts';
import { engineError, engineSays, isMissing, pushError, statusOf } from './engine-error.ts';
import { followPush, type PushEnd } from './push-output.ts';

type GetEngine = (kind?: 'patient') => Promise<Engine>;
type PushCall = CallOptions & { onLine: (text: string) => void };

/**
 * An engine pushes names only, and whoever pushes the same at the same time takes the name away when he is done. Nor does an
 * engine always wait for the layers that another push of its own is sending; and a registry may fail over two that meet.
 */
const RACED = /does not exist|no such image|blob unknown|unexpected HTTP status: 500\b/i;
const MOST_TRIES = 5;

/**
 * Pushes an image under a name that it has here only meanwhile. Several processes may push the same.
 * Errors: BACKEND_UNAVAILABLE; whatever the signal was aborted with.
 */
export async function pushImage(
  engine: GetEngine,
  image: ImagePush,
  call: PushCall,
): Promise<{ digest: string }> {
  call.signal?.throwIfAborted();
  try {
    for (let number = 1; ; number += 1) {
      const { failure, digest } = await tryPush(engine, image, call);
      if (failure === undefined && digest !== undefined) return { digest };
      call.signal?.throwIfAborted();
      if (failure === undefined) throw untold();
      if (!RACED.test(failure) || number === MOST_TRIES) throw pushError(image.repository, failure);
    }
  } finally {
    await takeNameBack(engine, image);
  }
}

async function tryPush(engine: GetEngine, image: ImagePush, call: PushCall): Promise<PushEnd> {
  const { id, repository, tag, login } = image;
  try {
    await (await engine()).getImage(id).tag({ repo: repository, tag });
  } catch (error) {
    throw isMissing(error) ? notHere(id) : engineError(error, 'name an image');
  }
  try {
    const [serveraddress = ''] = repository.split('/');
    const stream = await (await engine('patient')).getImage(repository).push({
      tag,
      authconfig: login === null ? {} : { ...login, serveraddress },
      ...(call.signal ? { abortSignal: call.signal } : {}),
    });
    return await followPush(stream, { tag, onLine: call.onLine });
  } catch (error) {
    call.signal?.throwIfAborted();
    if (statusOf(error) === undefined) throw engineError(error, 'push an image');
    return { failure: engineSays(error), digest: undefined };
  }
}

/** Not the last one: with that the engine would remove the image itself. */
async function takeNameBack(engine: GetEngine, { id, repository, tag }: ImagePush): Promise<void> {
  const name = `${repository}:${tag}`;
  try {
    const client = await engine();
    const { RepoTags } = await client.getImage(id).inspect();
    if (RepoTags?.some((other) => other !== name)) await client.getImage(name).remove({ noprune: true });
  } catch {
    // Somebody else took it, or the engine is away: a name that stays does no harm.
  }
}

function notHere(id: string): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `The image ${id.replace('sha256:', '').slice(0, 12)} is not on this machine any more.`,
    hint: 'Somebody may be removing images; retry.',
    retryable: true,
  });
}

function untold(): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'The container engine ended a push without saying how it went.',
    hint: 'Repeat the call; what was sent is not sent again.',
    retryable: true,
  });
}
