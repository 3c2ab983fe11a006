import { type ErrorCode, GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';

export type ProblemKind =
  | 'link'
  | 'nested_repository'
  | 'too_large'
  | 'special_file'
  | 'unreadable'
  | 'file_name';

/** A thing in a slot that no version can hold. `path` is relative to the slot. */
export type SlotProblem = { kind: ProblemKind; path: string; detail?: string };

type Advice = { code: ErrorCode; what: (problem: SlotProblem) => string; hint: string };

const ADVICE: Record<ProblemKind, Advice> = {
  nested_repository: {
    code: 'NESTED_REPOSITORY',
    what: ({ path }) => `${clip(path)} is a repository of its own`,
    hint: 'Remove the .git inside the folder so that its files become part of the workspace, or list the folder in .gitignore.',
  },
  link: {
    code: 'LINK_ESCAPES',
    what: ({ path }) => `${clip(path)} is a link that leaves the slot`,
    hint: 'Copy the file into the slot, use a relative link that stays inside, or register outside data as a source.',
  },
  too_large: {
    code: 'FILE_TOO_LARGE',
    what: ({ path, detail }) => `${clip(path)} has ${detail} bytes`,
    hint: 'List the file in .gitignore, register it as a source and read it as a stage input, or raise versions.max_file_mb.',
  },
  special_file: {
    code: 'NOT_SUPPORTED',
    what: ({ path, detail }) => `${clip(path)} is a ${detail}, not a file`,
    hint: 'Delete it, or keep it in a folder that .gitignore lists.',
  },
  unreadable: {
    code: 'NOT_SUPPORTED',
    what: ({ path }) => `${clip(path)} cannot be read`,
    hint: 'Make it readable for the user that runs Goldfish, or list it in .gitignore.',
  },
  file_name: {
    code: 'NOT_SUPPORTED',
    what: ({ path }) => `${clip(path)} has a name that is not valid UTF-8`,
    hint: 'Rename it.',
  },
};

const ORDER = Object.keys(ADVICE);
/** Problems named one by one; a slot with thousands has one cause and needs no longer list. */
const MAX_LISTED = 50;

/** All problems at once, under the code of the gravest. */
export function refuseSlot(slot: string, problems: readonly SlotProblem[]): GoldfishError {
  const sorted = [...problems].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  const kinds = [...new Set(sorted.map((problem) => problem.kind))];
  const shown = sorted.slice(0, 3).map((problem) => ADVICE[problem.kind].what(problem));
  const rest = sorted.length - shown.length;
  return new GoldfishError(ADVICE[kinds[0] ?? 'unreadable'].code, {
    message: `Nothing was saved: in ${slot} ${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}.`,
    hint: kinds.map((kind) => ADVICE[kind].hint).join(' '),
    details: {
      slot,
      total: sorted.length,
      problems: sorted.slice(0, MAX_LISTED).map((problem) => ({
        code: ADVICE[problem.kind].code,
        path: clip(problem.path, 300),
        message: `${ADVICE[problem.kind].what(problem)}.`,
      })),
    },
  });
}
