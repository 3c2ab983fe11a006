import { type Answer, json } from './answer.ts';
import type { StoredObject } from './buckets.ts';
import { sliceContent } from './content.ts';

/** The content, or the one range that the header asks for: `bytes=FIRST-`, `bytes=FIRST-LAST`, `bytes=-COUNT`. */
export function readObject({ meta, content }: StoredObject, rangeHeader: string): Answer {
  const { size } = content;
  const md5 = meta.md5Hash === undefined ? '' : `,md5=${meta.md5Hash}`;
  const headers = {
    'content-type': meta.contentType,
    'accept-ranges': 'bytes',
    etag: String(meta['etag']),
    'x-goog-generation': meta.generation,
    'x-goog-metageneration': meta.metageneration,
    'x-goog-hash': `crc32c=${meta.crc32c}${md5}`,
    'x-goog-stored-content-length': String(size),
    'x-goog-stored-content-encoding': String(meta['contentEncoding'] ?? 'identity'),
  };
  const range = /^bytes=(\d*)-(\d*)$/.exec(rangeHeader);
  if (!range || (range[1] === '' && range[2] === '')) return { status: 200, headers, content };
  const start = range[1] === '' ? Math.max(size - Number(range[2]), 0) : Number(range[1]);
  const end = range[1] === '' || range[2] === '' ? size : Math.min(Number(range[2]) + 1, size);
  if (start >= size || start >= end) {
    return json({}, { status: 416, headers: { 'content-range': `bytes */${size}` } });
  }
  const shown = `bytes ${start}-${end - 1}/${size}`;
  return {
    status: 206,
    headers: { ...headers, 'content-range': shown },
    content: sliceContent(content, start, end),
  };
}
