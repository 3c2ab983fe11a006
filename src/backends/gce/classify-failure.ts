import { ComputeFailure, type OperationError } from './compute-calls.ts';

/**
 * What a failed request for a machine means for the search.
 *
 * - `no_capacity`  none is to be had there now; another zone, or the same later, may have one
 * - `quota`        the project may have no more there; elsewhere perhaps, later perhaps
 * - `impossible`   never there: no such machine type in that zone, parts that do not go together
 * - `refused`      nowhere: not allowed, or the request is wrong
 * - `passing`      nothing is known; the same request again
 * - `exists`       a machine of that name is there already
 */
export type FailureClass = 'no_capacity' | 'quota' | 'impossible' | 'refused' | 'passing' | 'exists';

/** By the API's own codes. They come from operations and, with small first letters, from refused requests. */
const BY_CODE: Readonly<Record<string, FailureClass>> = {
  ZONE_RESOURCE_POOL_EXHAUSTED: 'no_capacity',
  ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: 'no_capacity',
  REGION_RESOURCE_POOL_EXHAUSTED: 'no_capacity',
  STOCKOUT: 'no_capacity',
  RESOURCE_POOL_EXHAUSTED: 'no_capacity',
  insufficientCapacity: 'no_capacity',
  QUOTA_EXCEEDED: 'quota',
  quotaExceeded: 'quota',
  UNSUPPORTED_OPERATION: 'impossible',
  RESOURCE_NOT_FOUND: 'impossible',
  INTERNAL_ERROR: 'passing',
  RATE_LIMIT_EXCEEDED: 'passing',
  rateLimitExceeded: 'passing',
  alreadyExists: 'exists',
  RESOURCE_ALREADY_EXISTS: 'exists',
  PERMISSIONS_ERROR: 'refused',
};

/** Where a code says little, or says what is not so. In this order. */
const BY_MESSAGE: readonly (readonly [RegExp, FailureClass])[] = [
  // Under the code of a stock-out, and true for ever.
  [/features are not compatible|is not compatible with|incompatible/i, 'impossible'],
  [/failed to start due to preemption/i, 'no_capacity'],
  [
    /does not have enough resources|currently unavailable|resource pool exhausted|stockout|out of capacity/i,
    'no_capacity',
  ],
  [
    /machine type with name .* does not exist|(acceleratorType|machineType|diskType)s?\/.* was not found/i,
    'impossible',
  ],
  [/quota .*exceeded/i, 'quota'],
];

/** Of a request that was refused. */
export function classifyFailure(failure: ComputeFailure): FailureClass {
  const { status, reason, message } = failure;
  // Too many calls, which some sentences call a quota.
  if (status === 429) return 'passing';
  const known = classOf(reason, message);
  if (known !== undefined) return known;
  if (status === undefined || status >= 500) return 'passing';
  if (status === 409) return 'exists';
  return 'refused';
}

/** Of an operation that ended with an error. */
export function classifyOperation(
  errors: readonly OperationError[],
  status: number | null | undefined,
): FailureClass {
  for (const { code, message } of errors) {
    const known = classOf(code ?? undefined, message ?? '');
    if (known !== undefined) return known;
  }
  return status !== null && status !== undefined && status >= 400 && status < 500 ? 'refused' : 'passing';
}

function classOf(code: string | undefined, message: string): FailureClass | undefined {
  const bySentence = BY_MESSAGE.find(([pattern]) => pattern.test(message))?.[1];
  const byCode = code === undefined || !Object.hasOwn(BY_CODE, code) ? undefined : BY_CODE[code];
  // Only of these a sentence knows better than the code.
  if (bySentence === 'impossible' && byCode === 'no_capacity') return bySentence;
  if (bySentence === 'no_capacity' && byCode === 'impossible') return bySentence;
  return byCode ?? bySentence;
}

export function isComputeFailure(error: unknown): error is ComputeFailure {
  return error instanceof ComputeFailure;
}
