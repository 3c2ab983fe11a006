import type { ErrorCode } from '../core/errors.ts';

/** What scripts can tell apart. `--help` and the documentation print this table. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done' },
  failed: { code: 1, meaning: 'the work did not complete, or validate found problems' },
  usage: { code: 2, meaning: 'wrong arguments' },
  notFound: { code: 3, meaning: 'no such project, workspace, version or run' },
  refused: { code: 4, meaning: 'refused: the state, the files or a limit do not allow it' },
  unavailable: { code: 5, meaning: 'a backend, the storage or the output cannot be used now; try later' },
  internal: { code: 70, meaning: 'a defect of Goldfish; its log has the whole error' },
  timedOut: { code: 124, meaning: 'the time given with --timeout was over before the work was' },
  interrupted: { code: 130, meaning: 'Ctrl-C; the work goes on' },
} as const satisfies Record<string, { code: number; meaning: string }>;

export type Exit = keyof typeof EXIT_CODES;

const EXIT_OF_ERROR: Record<ErrorCode, Exit> = {
  INVALID_ARGUMENT: 'usage',
  REASON_TOO_SHORT: 'usage',
  AMBIGUOUS_ID: 'usage',
  PROJECT_NOT_FOUND: 'notFound',
  WORKSPACE_NOT_FOUND: 'notFound',
  VERSION_NOT_FOUND: 'notFound',
  RUN_NOT_FOUND: 'notFound',
  SOURCE_NOT_FOUND: 'notFound',
  RECORD_NOT_FOUND: 'notFound',
  SWEEP_NOT_FOUND: 'notFound',
  PROFILE_UNKNOWN: 'notFound',
  SLOT_EMPTY: 'notFound',
  WORKSPACE_EXISTS: 'refused',
  SLOT_OCCUPIED: 'refused',
  TAG_EXISTS: 'refused',
  SOURCE_EXISTS: 'refused',
  SOURCE_IN_USE: 'refused',
  INVALID_CONFIG: 'refused',
  INVALID_PIPELINE: 'refused',
  INPUT_UNAVAILABLE: 'refused',
  FILE_TOO_LARGE: 'refused',
  LINK_ESCAPES: 'refused',
  NESTED_REPOSITORY: 'refused',
  PATH_OUTSIDE_ROOT: 'refused',
  IDEMPOTENCY_CONFLICT: 'refused',
  NOT_FINALIZED: 'refused',
  RESULT_CONTRADICTED: 'refused',
  BUDGET_EXCEEDED: 'refused',
  CONFLICT: 'refused',
  NOT_SUPPORTED: 'refused',
  BACKEND_UNAVAILABLE: 'unavailable',
  STORAGE_UNAVAILABLE: 'unavailable',
  INTERNAL: 'internal',
};

export function exitOfError(code: ErrorCode): Exit {
  return EXIT_OF_ERROR[code];
}

/** The table as plain lines, for `goldfish --help`. */
export function exitCodeLines(): string {
  return Object.values(EXIT_CODES)
    .map(({ code, meaning }) => `  ${`${code}`.padEnd(5)}${meaning}`)
    .join('\n');
}
