/** Why work is interrupted that somebody else goes on with: this supervisor ends, and what it has begun is not to be undone. */
export class HandedOver extends Error {
  override readonly name = 'AbortError';

  constructor() {
    super('The next supervisor goes on with it.');
  }
}

export function isHandedOver({ reason }: Pick<AbortSignal, 'reason'>): boolean {
  return reason instanceof HandedOver;
}
