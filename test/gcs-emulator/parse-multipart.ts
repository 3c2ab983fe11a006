import { badRequest } from './api-error.ts';
import type { Wish } from './buckets.ts';

/** The two parts of a multipart upload: JSON about the object, and its bytes. */
export function parseMultipart(contentType: string, body: Buffer): { wish: Wish; bytes: Buffer } {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  const mark = Buffer.from(`--${(boundary?.[1] ?? boundary?.[2] ?? '').replace(/^'|'$/g, '')}`);
  if (!boundary) throw badRequest('The content type names no boundary.');
  const [about, data] = splitParts(body, mark).map(readPart);
  if (!about || !data) throw badRequest('Malformed multipart body.');
  const text = about.bytes.toString();
  const wish = (text === '' ? {} : JSON.parse(text)) as Wish;
  return {
    wish: { ...(data.type === undefined ? {} : { contentType: data.type }), ...wish },
    bytes: data.bytes,
  };
}

function splitParts(body: Buffer, mark: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let start = body.indexOf(mark); start >= 0; ) {
    const end = body.indexOf(mark, start + mark.length);
    if (end < 0) break;
    parts.push(body.subarray(start + mark.length, end));
    start = end;
  }
  return parts;
}

/** Lines may end in CR LF or in LF alone; the one before a boundary is not the part's. */
function readPart(part: Buffer): { type?: string; bytes: Buffer } {
  const [long, short] = [part.indexOf('\r\n\r\n'), part.indexOf('\n\n')];
  const isLong = long >= 0 && (short < 0 || long < short);
  const head = part.subarray(0, isLong ? long : short).toString();
  let end = part.length;
  if (part[end - 1] === 0x0a) end -= 1;
  if (part[end - 1] === 0x0d) end -= 1;
  const type = /content-type:\s*([^\r\n]+)/i.exec(head)?.[1]?.trim();
  const bytes = part.subarray(isLong ? long + 4 : short + 2, end);
  return type === undefined ? { bytes } : { type, bytes };
}
