import { expect, it } from 'vitest';
import { createIds, systemIds } from '../../src/core/ids.ts';

it('makes ids of the promised forms', () => {
  expect(systemIds.run()).toMatch(/^stage-[a-f0-9]{12}$/);
  expect(systemIds.pipelineRun()).toMatch(/^prun-[a-f0-9]{12}$/);
  expect(systemIds.reference()).toMatch(/^[a-f0-9]{8}$/);
  expect(createIds().record(0)).toMatch(/^0000000000[0-9A-F][0-9A-HJKMNP-TV-Z]{15}$/);
});

it('never makes the same id twice', () => {
  const ids = Array.from({ length: 10_000 }, () => systemIds.run());
  expect(new Set(ids).size).toBe(ids.length);
});

it('makes record ids that sort by time', () => {
  const { record } = createIds();
  const times = [0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 2 ** 48 - 1];
  const ids = times.map((time) => record(time));
  expect([...ids].sort()).toEqual(ids);
  // The time's part of the ULID specification's example.
  expect(createIds().record(1_469_918_176_385).slice(0, 10)).toBe('01ARYZ6S41');
});

it('makes record ids that rise within a millisecond and where the wall clock was set back', () => {
  const { record } = createIds();
  const now = 1_700_000_000_000;
  const times = [now, now, now - 3_600_000, now - 3_599_999, now, now + 1];
  const ids = times.map((time) => record(time));
  expect([...new Set(ids)].sort()).toEqual(ids);
});
