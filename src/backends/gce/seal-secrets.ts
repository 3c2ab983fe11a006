import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { sealedSchema } from './job-document.ts';

/** Bytes of content in one piece: with 20 bytes before it, it fits under a key of 3072 bits (RSA-OAEP with SHA-256). */
const PIECE_BYTES = 280;
const COMMON_BYTES = 16;
/** The number of a piece, and their count, have two bytes each. */
const MOST_PIECES = 0xffff;

/**
 * The text as only the owner of the key can read it: pieces, each of which begins with what all have in common, its number
 * and their count, so that none can be left out, repeated, or taken from another document.
 * Errors: RangeError beyond 17 MiB; what node:crypto throws for a key that is none.
 */
export function sealSecrets(publicKey: string, content: string): string {
  const bytes = Buffer.from(content, 'utf8');
  const count = Math.max(1, Math.ceil(bytes.length / PIECE_BYTES));
  if (count > MOST_PIECES) throw new RangeError('the secrets are too long to be sealed');
  const common = randomBytes(COMMON_BYTES);
  const key = { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  const pieces = Array.from({ length: count }, (_, number) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(number, 0);
    head.writeUInt16BE(count, 2);
    const part = bytes.subarray(number * PIECE_BYTES, (number + 1) * PIECE_BYTES);
    return publicEncrypt(key, Buffer.concat([common, head, part])).toString('base64');
  });
  return JSON.stringify(sealedSchema.parse({ schema: 1, pieces }));
}
