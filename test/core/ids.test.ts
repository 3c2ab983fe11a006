import { expect, it } from 'vitest';
import { systemIds } from '../../src/core/ids.ts';

it('makes ids of the promised forms', () => {
  expect(systemIds.run()).toMatch(/^stage-[a-f0-9]{12}$/);
  expect(systemIds.pipelineRun()).toMatch(/^prun-[a-f0-9]{12}$/);
  expect(systemIds.reference()).toMatch(/^[a-f0-9]{8}$/);
  expect(systemIds.record(0)).toMatch(/^0000000000[0-9A-HJKMNP-TV-Z]{16}$/);
});

it('never makes the same id twice', () => {
  const ids = Array.from({ length: 10_000 }, () => systemIds.run());
  expect(new Set(ids).size).toBe(ids.length);
});

it('makes record ids that sort by time', () => {
  const times = [0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 2 ** 48 - 1];
  const ids = times.map((time) => systemIds.record(time));
  expect([...ids].sort()).toEqual(ids);
  // The time's part of the ULID specification's example.
  expect(systemIds.record(1_469_918_176_385).slice(0, 10)).toBe('01ARYZ6S41');
});
