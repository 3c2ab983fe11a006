/** Where there is no commit to derive it from. */
export const CONSTANT_SEED = 20_261_126;

/**
 * The seed of a commit, unless the caller names one: the short form tries a quarter of what there is to try, and so each
 * commit tries another quarter, the same whenever it is tried again. `head`: what `git rev-parse HEAD` said.
 */
export function seedOfCommit(head: string | undefined): number {
  const [digits] = /^[0-9a-f]{8}(?=[0-9a-f]{32}\b)/.exec(head ?? '') ?? [];
  return digits === undefined ? CONSTANT_SEED : Number.parseInt(digits, 16);
}
