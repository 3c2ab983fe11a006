import { expect, it } from 'vitest';
import { formatBytes } from '../../../src/cli/render/bytes.ts';

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1536, '1.5 KiB'],
  [12 * 1024 ** 3, '12 GiB'],
  [1023, '1.0 KiB'],
  [5 * 1024 ** 5, '5120 TiB'],
])('shows %d bytes as people read them', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
