/**
 * The closed set of error codes an agent can meet. The documentation's table is generated from here:
 * one sentence each, in the reader's words.
 */
export const ERROR_CODES = {
  INVALID_ARGUMENT: 'An argument is missing, unknown, of the wrong type or out of range.',
  PROJECT_NOT_FOUND: 'There is no goldfish.yaml here or above; initialize_project makes one.',
  WORKSPACE_NOT_FOUND: 'No workspace, slot or reference of that name.',
  WORKSPACE_EXISTS: 'The name is taken by another workspace.',
  SLOT_EMPTY: 'No workspace is mounted in that slot.',
  SLOT_OCCUPIED: 'Another workspace, or files Goldfish does not know, are in that slot.',
  VERSION_NOT_FOUND: 'The workspace has no such version or tag.',
  TAG_EXISTS: 'The tag already names another version or record.',
  RUN_NOT_FOUND: 'No run or pipeline run has that id or prefix.',
  SOURCE_NOT_FOUND: 'No source of that name or version.',
  SOURCE_EXISTS: 'A source of that name exists with other content.',
  SOURCE_IN_USE: 'The source is an input of recorded runs.',
  RECORD_NOT_FOUND: 'No record of that id.',
  SWEEP_NOT_FOUND: 'No sweep of that id.',
  AMBIGUOUS_ID: 'The prefix fits several ids; the candidates are listed.',
  REASON_TOO_SHORT: 'The reason is shorter than audit.min_reason_length.',
  INVALID_CONFIG: 'goldfish.yaml or a stage config has problems; all are listed with line and column.',
  INVALID_PIPELINE: 'The pipeline has problems; all are listed with line and column.',
  INPUT_UNAVAILABLE: 'An input has no completed producer; the fix is the call that makes it.',
  FILE_TOO_LARGE: 'A file in the slot exceeds versions.max_file_mb.',
  LINK_ESCAPES: 'A symbolic link in the slot points outside of it.',
  NESTED_REPOSITORY: 'A folder in the slot is a git repository of its own.',
  PATH_OUTSIDE_ROOT: 'A path leaves the folder it must stay in.',
  IDEMPOTENCY_CONFLICT: 'The idempotency key was used with other arguments.',
  NOT_FINALIZED: 'Earlier records of the workspace are not judged yet; they are listed.',
  RESULT_CONTRADICTED: 'The stated value disagrees with the witnessed one.',
  BUDGET_EXCEEDED: 'The work would pass a limit of the budget.',
  BACKEND_UNAVAILABLE: 'The backend cannot run work now; the message says what is missing.',
  PROFILE_UNKNOWN: 'No profile of that name on that backend.',
  CONFLICT: 'Something changed meanwhile, or the state does not allow it.',
  NOT_SUPPORTED: 'Known and deliberately not built, or not possible here.',
  STORAGE_UNAVAILABLE: 'The object storage or the disk refused.',
  INTERNAL: 'A defect of Goldfish; the reference is found in its log.',
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A ready call that would resolve the refusal. */
export type ToolCall = { tool: string; arguments: Record<string, unknown> };

export type ErrorInit = {
  message: string;
  /** What to do about it, in one sentence. */
  hint?: string;
  details?: Record<string, unknown>;
  fix?: ToolCall;
  /** True where the same call may succeed later without a change. */
  retryable?: boolean;
  cause?: unknown;
};

/** The one error type that crosses rooms. Vendor errors are translated to it once, in their adapter. */
export class GoldfishError extends Error {
  override readonly name = 'GoldfishError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Record<string, unknown>;
  readonly fix: ToolCall | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, init: ErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.hint = init.hint;
    this.details = init.details ?? {};
    this.fix = init.fix;
    this.retryable = init.retryable ?? false;
  }
}

export function isGoldfishError(error: unknown): error is GoldfishError {
  return error instanceof GoldfishError;
}

/** The system error code (`ENOENT`, …) of anything thrown by Node, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The same of whatever lies behind an error that was put into words since. */
export function errnoBehind(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const told = isGoldfishError(at) ? at.details['errno'] : errnoOf(at);
    if (typeof told === 'string' && ERRNO.test(told)) return told;
  }
  return undefined;
}
const ERRNO = /^E[A-Z0-9]+$/;

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
