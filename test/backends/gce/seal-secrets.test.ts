import { constants, generateKeyPairSync, privateDecrypt } from 'node:crypto';
import { expect, it } from 'vitest';
import { sealSecrets } from '../../../src/backends/gce/seal-secrets.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 3072,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

function open(sealed: string): Buffer[] {
  const { pieces } = JSON.parse(sealed) as { pieces: string[] };
  const key = { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  return pieces.map((piece) => privateDecrypt(key, Buffer.from(piece, 'base64')));
}

it.each([0, 1, 280, 281, 5_000])('seals %i bytes so that the owner of the key reads them again', (length) => {
  const content = 'ä'.repeat(Math.floor(length / 2)) + 'x'.repeat(length % 2);
  const pieces = open(sealSecrets(publicKey, content));
  const common = new Set(pieces.map((piece) => piece.subarray(0, 16).toString('hex')));
  expect(common.size).toBe(1);
  expect(pieces.map((piece) => piece.readUInt16BE(16))).toEqual(pieces.map((_, number) => number));
  expect(new Set(pieces.map((piece) => piece.readUInt16BE(18)))).toEqual(new Set([pieces.length]));
  expect(Buffer.concat(pieces.map((piece) => piece.subarray(20))).toString()).toBe(content);
});

it('never seals the same twice alike', () => {
  expect(sealSecrets(publicKey, 'secret')).not.toBe(sealSecrets(publicKey, 'secret'));
});

it('refuses more than its pieces can be numbered for', () => {
  expect(() => sealSecrets(publicKey, 'x'.repeat(280 * 0x10000))).toThrow(
    'the secrets are too long to be sealed',
  );
});
