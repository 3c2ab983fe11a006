/** A request that the service refuses: the HTTP status, Google's reason word and its sentence. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** What every refusal looks like on the wire. */
export function errorBody({ status, reason, message }: ApiError): unknown {
  return { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } };
}

export function invalidField(field: string, value: unknown, why: string): ApiError {
  const shown = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
  return new ApiError(400, 'invalid', `Invalid value for field '${field}': '${shown}'. ${why}`);
}

/** `resource`: `projects/p/zones/z/instances/i`. */
export function notFound(resource: string): ApiError {
  return new ApiError(404, 'notFound', `The resource '${resource}' was not found`);
}

export function alreadyExists(resource: string): ApiError {
  return new ApiError(409, 'alreadyExists', `The resource '${resource}' already exists`);
}

export function notReady(resource: string): ApiError {
  return new ApiError(400, 'resourceNotReady', `The resource '${resource}' is not ready`);
}
