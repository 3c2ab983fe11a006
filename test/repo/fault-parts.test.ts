import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addRecord,
  chooseParts,
  forgetRecords,
  listParts,
  type PartRecord,
  partPassed,
  readRecords,
} from '../../scripts/fault-parts.ts';
import type { Outcome } from '../faults/kit/promises.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PARTS = ['disk/full.test.ts', 'storm/docker.test.ts', 'storm/process.test.ts'];

function record(part: string, passed = true): PartRecord {
  return { part, passed, seconds: 1, outcomes: [], skipped: [] };
}

describe('the parts of the long form', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'goldfish-parts-'));
    file = join(folder, 'made', 'records.jsonl');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('are the files of the suite', () => {
    const parts = listParts(ROOT);
    expect(parts).toContain('storm/storm-docker.test.ts');
    expect(parts).toContain('concurrency/mixed-calls.test.ts');
    expect(parts).toEqual([...parts].sort());
  });

  it('keep what came of each, the latest counting', () => {
    expect(readRecords(file, PARTS)).toEqual([]);
    addRecord(file, record('storm/process.test.ts', false));
    addRecord(file, record('disk/full.test.ts'));
    addRecord(file, record('storm/process.test.ts'));
    addRecord(file, record('gone/since.test.ts'));
    expect(readRecords(file, PARTS)).toEqual([record('disk/full.test.ts'), record('storm/process.test.ts')]);
    forgetRecords(file);
    expect(readRecords(file, PARTS)).toEqual([]);
  });

  it('do not count a record whose writing was cut off, and keep the one behind it', () => {
    addRecord(file, record('disk/full.test.ts'));
    appendFileSync(file, '{"part":"storm/docker.test.ts","pas');
    addRecord(file, record('storm/process.test.ts'));
    expect(readRecords(file, PARTS).map(({ part }) => part)).toEqual([
      'disk/full.test.ts',
      'storm/process.test.ts',
    ]);
  });

  it('pass where something was tried, nothing left out and every promise held', () => {
    const kept: Outcome = { fault: 'killed', promise: 'once', trials: 500, held: 500 };
    const ran = { code: 0, outcomes: [kept], skipped: [] as string[] };
    expect(partPassed(ran)).toBe(true);
    expect(partPassed({ ...ran, code: 1 })).toBe(false);
    expect(partPassed({ ...ran, outcomes: [] })).toBe(false);
    expect(partPassed({ ...ran, outcomes: [kept, { ...kept, held: 499 }] })).toBe(false);
    expect(partPassed({ ...ran, outcomes: [{ ...kept, trials: 0, held: 0 }] })).toBe(false);
    expect(partPassed({ ...ran, skipped: ['on docker (needs Docker: …)'] })).toBe(false);
  });

  it('go on with what has not passed, and take names', () => {
    const records = [record('disk/full.test.ts'), record('storm/docker.test.ts', false)];
    const choose = (words: string[], goOn: boolean): string[] => chooseParts(PARTS, records, { words, goOn });
    expect(choose([], false)).toEqual(PARTS);
    expect(choose([], true)).toEqual(['storm/docker.test.ts', 'storm/process.test.ts']);
    expect(choose(['disk'], false)).toEqual(['disk/full.test.ts']);
    expect(choose(['disk', 'process'], true)).toEqual(['storm/process.test.ts']);
    expect(choose(['nothing'], false)).toEqual([]);
  });
});
