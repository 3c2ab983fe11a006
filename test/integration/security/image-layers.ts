import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { docker } from '../../contracts/docker-under-test.ts';

const GZIP = Buffer.from([0x1f, 0x8b]);

/** Which words stand anywhere in an image of the engine: in a file of a layer, a name, or what is told of it. */
export async function wordsInImage(id: string, words: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  const saved = await docker.getImage(id).get();
  for await (const entry of saved.pipe(extract())) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const whole = Buffer.concat(chunks);
    // Of some engines a layer is packed.
    const content = whole.subarray(0, GZIP.length).equals(GZIP) ? gunzipSync(whole) : whole;
    for (const word of words) if (content.includes(word)) found.add(word);
  }
  return [...found];
}
