import { describe, expect, it } from 'vitest';
import { formatBytes, parseMemorySize } from '../../src/core/memory-size.ts';

describe('an amount of memory', () => {
  it.each([
    ['512m', 512 * 1024 ** 2],
    ['4g', 4 * 1024 ** 3],
    ['4G', 4 * 1024 ** 3],
    ['1.5 GiB', 1.5 * 1024 ** 3],
    ['100kb', 100 * 1024],
    ['1t', 1024 ** 4],
    ['1048576', 1048576],
    ['7b', 7],
    [1048576, 1048576],
    [0, 0],
  ])('is read from %j', (value, bytes) => {
    expect(parseMemorySize(value)).toBe(bytes);
  });

  it.each([
    '',
    'g',
    '4x',
    '-1g',
    '1e3',
    '4 g b',
    '9'.repeat(40),
    '9999999999t',
    -1,
    1.5,
    Number.NaN,
    null,
    true,
    [],
  ])('is not read from %j', (value) => {
    expect(parseMemorySize(value)).toBeUndefined();
  });
});

it.each([
  [0, '0 bytes'],
  [1_023, '1023 bytes'],
  [1_024, '1 KB'],
  [1_536, '1.5 KB'],
  [200 * 1_024, '200 KB'],
  [1_572_864, '1.5 MB'],
  [12 * 1024 ** 3, '12 GB'],
  [3.5 * 1024 ** 4, '3.5 TB'],
])('writes %i bytes as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
