import type { Clock } from '../../core/clock.ts';
import { untilAborted } from '../../core/until-aborted.ts';
import type { ImageBuilder } from '../image-builder.ts';
import type { ImageRegistry } from '../image-registry.ts';
import type { CallOptions } from '../port.ts';

export type PushDeps = {
  builder: Pick<ImageBuilder, 'push'>;
  registry: ImageRegistry;
  /** `gce.artifact_registry`. */
  repository: string;
  clock: Clock;
};
/** `id`: what the image is, whatever it is called: `sha256:<hex>`. */
export type PushCall = CallOptions & { id: string; onLine: (text: string) => void };

type Image = { id: string; repository: string; tag: string };
/** One that is under way, and those who wait for it. */
type Push = { end: Promise<string>; callers: Set<Pick<PushCall, 'onLine'>>; stop: AbortController };

/** In the repository all images of all projects have one name. */
const NAME = 'goldfish';

const underWay = new WeakMap<ImageRegistry, Map<string, Push>>();

/**
 * The image's reference for machines elsewhere, `…/goldfish@sha256:<hex>`. The registry has it under a tag made of its
 * id, so it is pushed once, whoever asks for it and however often; those who ask at the same time share one push, which
 * goes on for as long as one of them waits. Two processes that push the same do no harm. What is there under the tag counts
 * only where it is that very image.
 * Errors: BACKEND_UNAVAILABLE; whatever the signal was aborted with.
 */
export async function pushedImage(deps: PushDeps, call: PushCall): Promise<string> {
  call.signal?.throwIfAborted();
  const image = imageOf(deps.repository, call.id);
  const pushes = underWay.get(deps.registry) ?? new Map<string, Push>();
  underWay.set(deps.registry, pushes);
  const key = `${image.repository}:${image.tag}`;
  const push = pushes.get(key) ?? beginPush(deps, image);
  pushes.set(key, push);
  const caller = { onLine: call.onLine };
  push.callers.add(caller);
  try {
    return await untilAborted(push.end, call.signal);
  } finally {
    push.callers.delete(caller);
    if (push.callers.size === 0) {
      // Whoever comes now begins anew: this one is over, or is given up.
      if (pushes.get(key) === push) pushes.delete(key);
      push.stop.abort();
    }
  }
}

function imageOf(repository: string, id: string): Image {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(id)?.[1];
  if (hex === undefined) throw new Error(`${id} is no id of an image`);
  return { id, repository: `${repository}/${NAME}`, tag: `id-${hex}` };
}

function beginPush(deps: PushDeps, image: Image): Push {
  const callers: Push['callers'] = new Set();
  const stop = new AbortController();
  const onLine = (text: string): void => {
    for (const caller of callers) caller.onLine(text);
  };
  return { callers, stop, end: findOrPush(deps, image, { signal: stop.signal, onLine }) };
}

async function findOrPush(
  { registry, builder, clock }: PushDeps,
  image: Image,
  call: CallOptions & { onLine: (text: string) => void },
): Promise<string> {
  const { repository, tag, id } = image;
  const shown = `The image ${id.replace('sha256:', '').slice(0, 12)}`;
  const found = await registry.digest({ repository, tag }, call);
  // Whoever may write there can put another image under the tag; what a digest names stays what it is.
  if (found !== undefined && (await registry.isImage(`${repository}@${found}`, id, call))) {
    call.onLine(`${shown} is in ${repository} already.`);
    return `${repository}@${found}`;
  }
  const why =
    found === undefined ? `not in ${repository} yet` : `not surely what ${repository} has under its tag`;
  call.onLine(`${shown} is ${why}; it is being pushed.`);
  const began = clock.monotonic();
  const login = await registry.login(call);
  const { digest } = await builder.push({ ...image, login }, call);
  // kill point: rent/image-pushed
  const seconds = Math.round((clock.monotonic() - began) / 1000);
  call.onLine(`${shown} was pushed in ${seconds} s.`);
  return `${repository}@${digest}`;
}
