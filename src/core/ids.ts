import { randomBytes } from 'node:crypto';

/** The only door to randomness in names. Tests hand in a counting one. */
export type Ids = {
  /** `stage-` + 12 hex. */
  run(): string;
  /** `prun-` + 12 hex. */
  pipelineRun(): string;
  /** A ULID for the given time (ms since the epoch): sortable, 26 characters. */
  record(now: number): string;
  /** 8 hex: a reference that ties an INTERNAL error to its log line, or a temporary name. */
  reference(): string;
};

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

function hex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

function ulid(now: number): string {
  let time = '';
  let rest = now;
  for (let i = 0; i < 10; i += 1) {
    time = CROCKFORD.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  const random = [...randomBytes(16)].map((byte) => CROCKFORD.charAt(byte % 32)).join('');
  return time + random;
}

export const systemIds: Ids = {
  run: () => `stage-${hex(6)}`,
  pipelineRun: () => `prun-${hex(6)}`,
  record: ulid,
  reference: () => hex(4),
};
