import { appendFileSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Outcome } from '../test/faults/kit/promises.ts';

/**
 * The long form takes more than an hour, so it is run in parts, a file of tests each. What came of a part is kept, for
 * one commit and seed; a long form that was ended by anything goes on with the parts that have not passed.
 */
export type PartRecord = {
  /** The file of tests, from test/faults: `storm/storm-docker.test.ts`. */
  part: string;
  passed: boolean;
  seconds: number;
  outcomes: Outcome[];
  /** Titles of the tests that did not run; each says what it needs. */
  skipped: string[];
};

/**
 * Whether a part holds what the page is to say of it: its tests passed, none was left out, something was tried, and no
 * promise was broken.
 */
export function partPassed({ code, outcomes, skipped }: Ran): boolean {
  const kept = outcomes.every(({ held, trials }) => trials > 0 && held === trials);
  return code === 0 && skipped.length === 0 && outcomes.length > 0 && kept;
}

type Ran = Pick<PartRecord, 'outcomes' | 'skipped'> & { code: number };

const FOLDER = 'test/faults';

/** Every part, in the order of their names. */
export function listParts(root: string): string[] {
  return globSync('**/*.test.ts', { cwd: `${root}/${FOLDER}` }).sort();
}

export function testFile(part: string): string {
  return `${FOLDER}/${part}`;
}

/** The latest record of each part that is there, in the order of `parts`. A line that was cut off is none. */
export function readRecords(file: string, parts: readonly string[]): PartRecord[] {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const latest = new Map(lines.flatMap(parseLine).map((record) => [record.part, record]));
  return parts.flatMap((part) => latest.get(part) ?? []);
}

function parseLine(line: string): PartRecord[] {
  try {
    return [JSON.parse(line) as PartRecord];
  } catch {
    return [];
  }
}

/** On a line of its own also behind one that was cut off. */
export function addRecord(file: string, record: PartRecord): void {
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `\n${JSON.stringify(record)}\n`);
}

export function forgetRecords(file: string): void {
  if (existsSync(file)) writeFileSync(file, '');
}

export type Choice = {
  /** Words of the caller: parts of their names. */
  words: readonly string[];
  /** Leave out what has passed. */
  goOn: boolean;
};

/** The parts to run now. */
export function chooseParts(
  parts: readonly string[],
  records: readonly PartRecord[],
  { words, goOn }: Choice,
): string[] {
  const passed = new Set(records.filter((record) => record.passed).map(({ part }) => part));
  return parts.filter(
    (part) =>
      (words.length === 0 || words.some((word) => testFile(part).includes(word))) &&
      !(goOn && passed.has(part)),
  );
}
