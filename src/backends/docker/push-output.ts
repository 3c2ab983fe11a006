import { messages, textOf } from './build-output.ts';

/** How a push ended, in the engine's words; both undefined where it said neither. */
export type PushEnd = { failure: string | undefined; digest: string | undefined };

const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** Of every layer, before anything has happened to it. */
const NOT_YET = /: (Preparing|Waiting)\n$/;

/** Reads to the end; what became of each layer goes to `onLine`. */
export async function followPush(
  stream: NodeJS.ReadableStream,
  { tag, onLine }: { tag: string; onLine: (text: string) => void },
): Promise<PushEnd> {
  const end: PushEnd = { failure: undefined, digest: undefined };
  for await (const message of messages(stream)) {
    end.failure ??= message.error;
    const { Tag, Digest } = message.aux ?? {};
    if (Tag === tag && typeof Digest === 'string' && DIGEST.test(Digest)) end.digest = Digest;
    const text = textOf(message);
    if (text !== '' && !NOT_YET.test(text)) onLine(text.trimEnd());
  }
  return end;
}
