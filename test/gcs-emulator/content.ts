import { createHash } from 'node:crypto';

/** Bytes in pieces: they are never joined, so that large objects cost their size once. Nobody changes them. */
export type Content = { pieces: readonly Buffer[]; size: number };

export function contentOf(pieces: readonly Buffer[]): Content {
  return { pieces, size: pieces.reduce((sum, piece) => sum + piece.length, 0) };
}

/** The bytes from `start` to `end`, which is not among them. */
export function sliceContent({ pieces }: Content, start: number, end: number): Content {
  const wanted: Buffer[] = [];
  let at = 0;
  for (const piece of pieces) {
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, piece.length);
    if (from < to) wanted.push(piece.subarray(from, to));
    at += piece.length;
  }
  return contentOf(wanted);
}

/** A copy of which one byte is another: what a bad cable or a bad disk makes of it. */
export function corruptContent(content: Content): Content {
  const at = content.pieces.findLastIndex((piece) => piece.length > 0);
  if (at < 0) return content;
  const pieces = [...content.pieces];
  const broken = Buffer.from(pieces[at]!);
  broken[broken.length >> 1]! ^= 0x20;
  pieces[at] = broken;
  return { pieces, size: content.size };
}

/** Both in base64, CRC32C in the order of the network, as the API shows them. */
export function hashesOf({ pieces }: Content): { crc32c: string; md5Hash: string } {
  const md5 = createHash('md5');
  let crc = 0xffffffff;
  for (const piece of pieces) {
    md5.update(piece);
    for (let i = 0; i < piece.length; i += 1) crc = CRC_TABLE[(crc ^ piece[i]!) & 0xff]! ^ (crc >>> 8);
  }
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
  return { crc32c: sum.toString('base64'), md5Hash: md5.digest('base64') };
}

/** The Castagnoli polynomial, its bits in reverse. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});
