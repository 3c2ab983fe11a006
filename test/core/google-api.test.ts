import { expect, it } from 'vitest';
import { isGoogleApi } from '../../src/core/google-api.ts';

it.each([
  ['https://compute.googleapis.com', true],
  ['https://storage.googleapis.com:443/storage/v1', true],
  ['https://storage-mine.p.googleapis.com', true],
  ['http://compute.googleapis.com', false],
  ['https://googleapis.com.example.com', false],
  ['https://evilgoogleapis.com', false],
  ['https://compute.googleapis.com@example.com', false],
  ['https://example.com/.googleapis.com', false],
  ['https://127.0.0.1:8080', false],
])('%s is one of Google’s own APIs: %s', (address, isOne) => {
  expect(isGoogleApi(new URL(address))).toBe(isOne);
});
