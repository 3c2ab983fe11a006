/** The service keeps the last MiB of what a machine wrote. */
const KEPT_BYTES = 1024 * 1024;

export type SerialLog = {
  append(text: string): void;
  /**
   * What was written from byte `start` on, and where to go on. `start` in the answer is the first byte that is given: later
   * than asked for where older ones are not kept. A negative one counts from the end.
   */
  read(start?: number): { contents: string; start: number; next: number };
};

export function createSerialLog(): SerialLog {
  let kept: Buffer = Buffer.alloc(0);
  let dropped = 0;
  return {
    append: (text) => {
      const whole = Buffer.concat([kept, Buffer.from(text)]);
      kept = whole.subarray(Math.max(0, whole.length - KEPT_BYTES));
      dropped += whole.length - kept.length;
    },
    read: (asked = 0) => {
      const next = dropped + kept.length;
      const from = asked < 0 ? next + asked : asked;
      const start = Math.min(Math.max(from, dropped), next);
      return { contents: kept.subarray(start - dropped).toString('utf8'), start, next };
    },
  };
}
