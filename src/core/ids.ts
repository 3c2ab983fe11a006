import { randomBytes } from 'node:crypto';

/** The only door to randomness in names. Tests hand in a counting one. */
export type Ids = {
  /** `stage-` + 12 hex. */
  run(): string;
  /** `prun-` + 12 hex. */
  pipelineRun(): string;
  /**
   * A ULID for the given time (ms since the epoch): sortable, 26 characters. Each is above the one before, also within
   * a millisecond and where the wall clock was set back in between.
   */
  record(now: number): string;
  /** `goldfish-` + 12 hex: a worker, and the name of its machine. */
  worker(): string;
  /** 8 hex: a reference that ties an INTERNAL error to its log line, or a temporary name. */
  reference(): string;
};

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TIME_LETTERS = 10;
const RANDOM_LETTERS = 16;

function hex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

function letters(value: bigint, count: number): string {
  let text = '';
  for (let rest = value; text.length < count; rest /= 32n) text = CROCKFORD.charAt(Number(rest % 32n)) + text;
  return text;
}

/** Half of the 80 bits' room stays free, so that counting on never reaches the next millisecond. */
function freshRandom(): bigint {
  return BigInt(`0x${hex(10)}`) >> 1n;
}

function increasingUlids(): (now: number) => string {
  let time = -1;
  let random = 0n;
  return (now) => {
    random = now > time ? freshRandom() : random + 1n;
    time = Math.max(now, time);
    return letters(BigInt(time), TIME_LETTERS) + letters(random, RANDOM_LETTERS);
  };
}

/** Ids of one process: only one maker's record ids are sure to rise. */
export function createIds(): Ids {
  return {
    run: () => `stage-${hex(6)}`,
    pipelineRun: () => `prun-${hex(6)}`,
    record: increasingUlids(),
    worker: () => `goldfish-${hex(6)}`,
    reference: () => hex(4),
  };
}

export const systemIds: Ids = createIds();
