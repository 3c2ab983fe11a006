/** The checksum that the service keeps of every object: the Castagnoli polynomial, its bits in reverse. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** A running sum: `update` it with each piece, `value` is that of all so far, in base64 as the service writes it. */
export function createCrc32c(): { update(bytes: Uint8Array): void; value(): string } {
  let state = 0xffffffff;
  return {
    update(bytes) {
      let crc = state;
      for (let at = 0; at < bytes.length; at += 1) {
        crc = (TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
      }
      state = crc;
    },
    value() {
      const sum = Buffer.alloc(4);
      sum.writeUInt32BE((state ^ 0xffffffff) >>> 0);
      return sum.toString('base64');
    },
  };
}
