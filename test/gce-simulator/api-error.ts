import { ApiError } from '../support/google-api-error.ts';

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
