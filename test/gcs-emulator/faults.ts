import type { Operation } from './route.ts';

/**
 * What goes wrong with a request.
 * - `status`: it is answered with that status and nothing is done.
 * - `refuse`: the connection dies before anything is done.
 * - `lose-answer`: it is done, and the connection dies before the answer.
 * - `cut-request`, `cut-answer`: the connection dies after that many bytes of the body.
 * - `corrupt-request`, `corrupt-answer`: one byte of the body is another one.
 * - `slow-answer`: the body comes in pieces of that many bytes, with a pause before each.
 * - `silence`: it is never answered, and nothing is done.
 * - `pass`: nothing, it is left out.
 */
export type Trouble =
  | { kind: 'status'; status: number }
  | { kind: 'refuse' | 'lose-answer' | 'corrupt-request' | 'corrupt-answer' | 'silence' | 'pass' }
  | { kind: 'cut-request' | 'cut-answer'; after: number }
  | { kind: 'slow-answer'; pieceBytes: number; pauseMs: number };

/** Aimed at one operation, bucket or object, or at all; `times` (default 1) after the first `skip` are hit. */
export type Fault = {
  do: Trouble;
  on?: Operation;
  bucket?: string;
  name?: string;
  skip?: number;
  times?: number;
  /** An outage: it hits whatever comes until this many milliseconds have passed, and `times` does not count. */
  forMs?: number;
};

type Aimed = { operation: Operation; bucket: string; name: string };

/** The script of what is to go wrong, in order; of several that fit, the first one hits. */
export class Faults {
  #script: { fault: Fault; skip: number; times: number; until: number }[] = [];

  add(...faults: Fault[]): void {
    for (const fault of faults) {
      const { skip = 0, times = 1, forMs } = fault;
      const until = forMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + forMs;
      this.#script.push({
        fault,
        skip,
        times: forMs === undefined ? times : Number.POSITIVE_INFINITY,
        until,
      });
    }
  }

  clear(): void {
    this.#script = [];
  }

  /** What happens to this request; counts it. */
  strike(request: Aimed): Trouble | undefined {
    this.#script = this.#script.filter(({ times, until }) => times > 0 && performance.now() < until);
    const entry = this.#script.find(({ fault }) => fits(fault, request));
    if (!entry) return undefined;
    if (entry.skip > 0) {
      entry.skip -= 1;
      return undefined;
    }
    entry.times -= 1;
    return entry.fault.do;
  }
}

function fits({ on, bucket, name }: Fault, request: Aimed): boolean {
  return (
    (on === undefined || on === request.operation) &&
    (bucket === undefined || bucket === request.bucket) &&
    (name === undefined || name === request.name)
  );
}
