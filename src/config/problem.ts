import { type ErrorCode, GoldfishError } from '../core/errors.ts';

/** One thing wrong in a file the user wrote, with everything needed to mend it. */
export type Problem = {
  /** Relative to the project's root, or to the workspace's; `config_override` for an argument of a call. */
  file: string;
  /** From 1; 0 where there is no text to point at (an override, a missing file). */
  line: number;
  /** From 1, in UTF-16 units as editors count; 0 where there is no text to point at. */
  column: number;
  message: string;
  hint?: string;
  allowed?: string[];
  /** Where there is no line: the keys that lead to the value, `train.compute.memory`. */
  path?: string;
};

export type Place = Pick<Problem, 'file' | 'line' | 'column' | 'path'>;
export type Path = readonly (string | number)[];
/** Finds the text of a key or a value; for what is missing, of the nearest thing around it. */
export type Locate = (path: Path, part?: 'key' | 'value') => Place;

/** More than anybody reads at once; a hostile file must not make a hostile answer. */
const MAX_PROBLEMS = 100;

/** Gathers the first hundred problems. */
export type ProblemList = {
  add(place: Place, problem: Omit<Problem, keyof Place>): void;
  /** True when another one would not be kept: a reason to stop looking. */
  full(): boolean;
  found(): Problem[];
};

export function problemList(): ProblemList {
  const problems: Problem[] = [];
  const full = (): boolean => problems.length >= MAX_PROBLEMS;
  return {
    add: (place, problem) => {
      if (!full()) problems.push({ ...place, ...problem });
    },
    full,
    found: () => [...problems],
  };
}

/**
 * By file, line, column; goldfish.yaml first, then as the alphabet has it. Equal ones (a config that pipelines share)
 * stand there once. Of more than a hundred the first are kept, and a last line says so.
 */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const unique = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  const rank = (file: string): string => (file === 'goldfish.yaml' ? '' : file);
  const sorted = [...unique.values()].sort(
    (a, b) => compareText(rank(a.file), rank(b.file)) || a.line - b.line || a.column - b.column,
  );
  const last = sorted[MAX_PROBLEMS - 1];
  if (last === undefined) return sorted;
  const message = 'There may be more problems after this one.';
  const { file, line, column } = last;
  return [
    ...sorted.slice(0, MAX_PROBLEMS),
    { file, line, column, message, hint: 'Mend these first and validate again.' },
  ];
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `pipeline.yaml:3:5`, as editors and terminals make links of. */
export function formatPlace(place: Place): string {
  if (place.path !== undefined) return `${place.file} ${place.path}`;
  return place.line === 0 ? place.file : `${place.file}:${place.line}:${place.column}`;
}

/** The one error for a set of problems: the first in the message, all in `details.problems`. */
export function problemsError(code: ErrorCode, problems: readonly Problem[]): GoldfishError {
  const sorted = sortProblems(problems);
  const [first] = sorted;
  if (first === undefined) return new GoldfishError(code, { message: 'There is a problem without a name.' });
  const rest = sorted.length - 1;
  const more = rest === 0 ? '' : ` (and ${rest} more ${rest === 1 ? 'problem' : 'problems'})`;
  return new GoldfishError(code, {
    message: `${formatPlace(first)}: ${first.message}${more}`,
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    details: { problems: sorted },
  });
}
