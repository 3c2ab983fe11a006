import { ApiError } from '../support/google-api-error.ts';

export const noBucket = (): ApiError => new ApiError(404, 'notFound', 'The specified bucket does not exist.');
export const noObject = (bucket: string, name: string): ApiError =>
  new ApiError(404, 'notFound', `No such object: ${bucket}/${name}`);
export const badRequest = (message: string): ApiError => new ApiError(400, 'invalid', message);
export const notMet = (): ApiError =>
  new ApiError(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
