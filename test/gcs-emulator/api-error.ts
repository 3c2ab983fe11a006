/** An answer of the JSON API that is no success: HTTP status, the API's reason word, a sentence. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }

  body(): object {
    const { status: code, reason, message } = this;
    return { error: { code, message, errors: [{ domain: 'global', reason, message }] } };
  }
}

export const noBucket = (): ApiError => new ApiError(404, 'notFound', 'The specified bucket does not exist.');
export const noObject = (bucket: string, name: string): ApiError =>
  new ApiError(404, 'notFound', `No such object: ${bucket}/${name}`);
export const badRequest = (message: string): ApiError => new ApiError(400, 'invalid', message);
export const notMet = (): ApiError =>
  new ApiError(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
